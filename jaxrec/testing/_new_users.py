"""The tests of fold-in: what a model makes of users who were not fitted on."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import jaxrec
from jaxrec.errors import JaxrecError
from jaxrec.fitting._folding import batches
from jaxrec.protocols import Histories
from jaxrec.testing._worlds import SIZE, strict


class FoldInChecks:
    """The part of a model's suite on new users; `model` and `personal` are those of the suite."""

    model: ClassVar[Any]
    personal: ClassVar[bool] = True

    @pytest.fixture(scope="class")
    @classmethod
    def histories(cls, fitted: Any, data: Any) -> Any:
        """What the users of the checkerboard have, as if nobody knew them."""
        if not fitted.model.serves_new_users:
            with pytest.raises(JaxrecError, match="cannot serve new users"):
                jaxrec.recommend(fitted, history=[100])
            pytest.skip("this model says that it cannot serve new users")
        return {f"new {user}": data.items.ids[data.item[data.user == user]].tolist() for user in range(SIZE)}

    @pytest.fixture(scope="class")
    @classmethod
    def new_lists(cls, fitted: Any, histories: Any) -> Any:
        with strict():
            return jaxrec.recommend(fitted, interactions=histories, k=5, exclude=[999])

    def test_new_users_get_the_withheld_item_first(self, new_lists, histories):
        for user, shown in new_lists:
            items = [one.item for one in shown]
            assert len(set(items)) == 5
            assert not set(items) & set(histories[user])
            scores = [one.score for one in shown]
            assert scores == sorted(scores, reverse=True)
            if self.personal:
                assert items[0] == 100 + int(user.split()[1])

    def test_a_new_user_gets_the_same_list_alone(self, fitted, histories, new_lists):
        for user in ("new 3", "new 0"):
            alone = jaxrec.recommend(fitted, history=histories[user][::-1], k=5, exclude=[999])["new"]
            if fitted.model.draws and not self.personal:
                assert len(alone) == 5
                continue
            np.testing.assert_allclose(
                [one.score for one in alone], [one.score for one in new_lists[user]], rtol=1e-4, atol=1e-5
            )

    def test_padding_changes_no_score(self, fitted, data, histories):
        _, short = next(batches(fitted.seen))
        wide = Histories(*(np.pad(array, ((0, 0), (0, 64))) for array in short[:2]))
        one, other = (np.asarray(fitted.fold_in(given).scores(np.arange(8))) for given in (short, wide))
        assert one.shape == (8, data.num_items)
        assert one.dtype == np.float32
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
