"use strict";
// The explorer: asks the server that the page came from. Text from the data is only ever set as text.
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const $ = (id) => document.getElementById(id);
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const button = (text, act, label) => {
    const made = element("button", text, label ? { type: "button", "aria-label": label } : { type: "button" });
    made.addEventListener("click", act);
    return made;
  };
  const plural = (count, one, more = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
  const named = (item) => (item.id === item.title ? item.title : `${item.title} [${item.id}]`);

  // A question to the server; the sentence of a refusal becomes the message of the error.
  const ask = async (place, options = {}) => {
    let response;
    try {
      response = await fetch(place, { credentials: "omit", ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("the server does not answer; start it again");
    }
    if (response.ok) return response;
    let told = `the server answered ${response.status}`;
    try { told = (await response.json()).error || told; } catch { /* it was no JSON */ }
    throw new Error(told);
  };
  const post = (place, body, signal) =>
    ask(place, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
  // Waits for a pause in what is typed or dragged.
  const later = (act, pause = 80) => {
    let timer = 0;
    return () => { clearTimeout(timer); timer = setTimeout(act, pause); };
  };

  // A field with the first matches below it as buttons; Enter takes the first, Escape clears.
  const search = (name, place, key, text, choose) => {
    const field = $(`${name}-search`), box = $(`${name}-matches`), hint = $(`${name}-hint`), first = hint.textContent;
    let control = null;
    const clear = () => { control?.abort(); field.value = ""; box.replaceChildren(); hint.textContent = first; };
    const take = (one) => { clear(); choose(one); field.focus(); };
    const show = async () => {
      control?.abort();
      const words = field.value.trim();
      if (!words) { box.replaceChildren(); hint.textContent = first; return []; }
      control = new AbortController();
      try {
        const found = await (await ask(`${place}?q=${encodeURIComponent(words)}`, { signal: control.signal })).json();
        const matches = found[key];
        box.replaceChildren(...matches.map((one) => {
          const line = element("li");
          line.append(button(text(one), () => take(one)));
          return line;
        }));
        hint.textContent = matches.length ? plural(found.total, "match", "matches") + (found.total > matches.length ? `, the first ${matches.length}` : "") : "No match.";
        return matches;
      } catch (error) {
        if (error.name !== "AbortError") { box.replaceChildren(); hint.textContent = `Error: ${error.message}.`; }
        return [];
      }
    };
    field.addEventListener("input", later(show));
    field.addEventListener("keydown", async (event) => {
      if (event.key === "Escape") clear();
      if (event.key !== "Enter") return;
      event.preventDefault();
      const matches = await show();
      if (matches.length) take(matches[0]);
    });
  };

  // What the lists are of: a user, or without one the basket; the last user is who was shown before the basket.
  let user = null, last = null, shown = null, control = null, status = "";
  const basket = new Map(), excluded = new Map();
  const checked = (name) => Array.from(document.querySelectorAll(`input[name="${name}"]:checked`), (box) => box.value);
  const lines = (name) => $(name).value.split("\n").map((line) => line.trim()).filter(Boolean);
  const wanted = () => {
    const body = { details: true, diversity: Number($("diversity").value), reranker: $("reranker").value, k: Number($("length").value) };
    if (user !== null) body.user = user; else body.history = [...basket.keys()];
    const categories = checked("category"), only = lines("only"), exclude = [...excluded.keys(), ...lines("without")];
    if (data.runs.length > 1) body.run = checked("run");
    if (categories.length) body.categories = categories;
    if (only.length) body.candidates = only;
    if (exclude.length) body.exclude = exclude;
    return body;
  };
  const sentence = (error) => `Error: ${error.message}${/[.?!]$/.test(error.message) ? "" : "."}`;
  const rulesHint = $("rules-hint").textContent;
  const hintRules = (wrong) => { $("rules-hint").textContent = wrong || rulesHint; $("rules-hint").classList.toggle("wrong", wrong !== ""); };
  const tell = (text) => { status = text; $("told").textContent = text; };

  const chips = (box, items, label, act) => {
    box.replaceChildren(...Array.from(items.values(), (item) => {
      const line = element("li");
      line.append(button(`${named(item)} ×`, () => act(item), `${label} ${named(item)}`));
      return line;
    }));
  };
  // The line below the fields: who is shown, and the ways from there.
  const showWhose = () => {
    const mine = shown !== null && shown.user === user, size = plural(basket.size, "item"), kept = basket.size > 0;
    $("whose").textContent = user !== null ? `User ${user}${mine ? `, ${plural(shown.history_length, "item")} in the history` : ""}` : kept ? `Basket of ${size}` : "Nobody is chosen yet";
    $("basket").hidden = user !== null || !kept;
    $("basket-copy").hidden = user === null || !mine || !shown.history || !shown.history.length;
    $("basket-back").hidden = user === null || !kept;
    $("basket-back").textContent = `Back to the basket of ${size}`;
    $("user-back").hidden = user !== null || last === null;
    $("user-back").textContent = `Back to user ${last}`;
    $("basket-empty").hidden = user !== null || !kept;
  };
  const chooseUser = (name) => { user = last = name; update(); };
  const chooseBasket = () => { user = null; update(); };
  const showBasket = () => chips($("basket"), basket, "Remove from the basket:", (item) => { basket.delete(item.id); changeBasket(); $("basket-search").focus(); });
  // An empty basket gives way to the user who was shown before.
  const changeBasket = () => { showBasket(); user = basket.size ? null : last; update(); };
  const add = (item) => {
    if (basket.size >= data.limits.history && !basket.has(item.id)) { tell(`The basket is full with ${plural(basket.size, "item")}.`); return; }
    basket.set(item.id, item);
    changeBasket();
  };
  const showExcluded = () => chips($("excluded"), excluded, "Let in again:", (item) => { excluded.delete(item.id); changeRules(); });
  const countRules = () => {
    const count = checked("category").length + lines("only").length + lines("without").length + excluded.size;
    $("rules-count").textContent = count ? ` (${count.toLocaleString("en")} active)` : "";
    $("rules-clear").hidden = !count;
  };
  const changeRules = () => { showExcluded(); countRules(); update(); };
  const exclude = (item) => { excluded.set(item.id, item); changeRules(); };

  // A long history is as long as the lists, until it is asked for the rest.
  const whole = new Set();
  const shorten = (made, list, title, kind) => {
    const few = Math.max(shown.k, 5), rest = [...list.children].slice(few);
    if (!rest.length) return;
    const more = button("", () => { if (whole.has(kind)) whole.delete(kind); else whole.add(kind); show(); });
    const show = () => {
      const open = whole.has(kind);
      for (const line of rest) line.hidden = !open;
      more.textContent = open ? `Show the first ${few}` : `Show all ${list.children.length}`;
      more.setAttribute("aria-expanded", String(open));
      more.setAttribute("aria-label", `${more.textContent}: ${title}`);
    };
    more.className = "more";
    show();
    made.append(more);
  };
  const card = (title, told, lines, className = "") => {
    const made = element("div", undefined, { class: className ? `card history ${className}` : "card" }), list = element("ol");
    list.append(...lines);
    made.append(element("h3", title), element("p", told, { class: "note" }), list);
    if (className) shorten(made, list, title, className);
    return made;
  };
  const entry = (item, buttons) => {
    const line = element("li", undefined, item.hit ? { class: "hit" } : {});
    line.append(element("span", (item.hit ? "✓ " : "") + item.title, { class: "title" }));
    if (item.hit) line.append(element("span", " (hit)"));
    const foot = element("div", undefined, { class: "foot" });
    if (item.why) foot.append(element("span", item.why.length ? `near ${item.why.map((one) => one.title).join("; ")}` : "near nothing in the history", { class: "why" }));
    if (buttons) {
      const place = element("span", undefined, { class: "acts" });
      for (const [sign, act, label] of [["+", add, "Add to the basket:"], ["−", exclude, "Exclude:"], ["≈", (one) => showSimilar(one, true), "Similar items:"]]) {
        const made = button(sign, () => act(item), `${label} ${named(item)}`);
        made.title = made.getAttribute("aria-label");
        place.append(made);
      }
      foot.append(place);
    }
    if (foot.children.length) line.append(foot);
    return line;
  };
  const distance = (list) => (list.distance === null ? "no distance" : `distance ${list.distance.toFixed(3)}`);
  const showLists = () => {
    const view = $("view"), grid = element("div", undefined, { class: "lists" });
    const cut = shown.history.length < shown.history_length ? `the first ${shown.history.length} of ${shown.history_length}` : plural(shown.history_length, "item");
    grid.append(card(shown.user === null ? "Basket" : `History of user ${shown.user}`, cut, shown.history.map((item) => entry(item)), "past"));
    const found = new Set();
    for (const list of shown.lists) {
      const hits = list.items.filter((item) => item.hit);
      for (const item of hits) found.add(item.id);
      const told = [distance(list), ...(shown.test_items ? [`${plural(hits.length, "hit")} in ${list.items.length}`] : []), ...list.notes];
      const made = card(list.run, told.join("; "), list.items.map((item) => entry(item, true)));
      made.dataset.run = list.run;
      if (list.distance !== null) made.dataset.distance = list.distance;
      grid.append(made);
    }
    if (shown.test_items && shown.test_items.length)
      grid.append(card("Test items", "marked where a run has them", shown.test_items.map((item) => entry({ ...item, hit: found.has(item.id) })), "tests"));
    view.replaceChildren(grid);
  };
  const update = async () => {
    control?.abort();
    const mine = (control = new AbortController());
    $("diversity-value").textContent = Number($("diversity").value).toFixed(2);
    const nobody = user === null && !basket.size, body = wanted();
    showWhose();
    if (nobody || (body.run && !body.run.length)) {
      $("view").replaceChildren();
      $("save").disabled = true;
      tell(nobody ? "Choose a user, or put an item into the basket." : "Choose a run: none is checked.");
      return;
    }
    try {
      const answer = await (await post("api/recommend", body, mine.signal)).json();
      if (mine !== control) return;
      shown = answer;
      hintRules("");
      showLists();
      showWhose();
      $("save").disabled = false;
      const whose = shown.user === null ? `a basket of ${plural(shown.history_length, "item")}` : `user ${shown.user}`;
      tell(`${plural(shown.lists.length, "list")} for ${whose}: ${shown.lists.map((list) => `${list.run} ${distance(list)}`).join(", ")}.`);
    } catch (error) {
      if (error.name === "AbortError" || mine !== control) return;
      tell(sentence(error));
      // The status may lie below the fold while one types here.
      hintRules(lines("only").length + lines("without").length ? sentence(error) : "");
      $("save").disabled = true;
      $("view").replaceChildren();
    }
  };

  const showSimilar = async (item, move) => {
    const view = $("similar-view");
    try {
      const answer = await (await ask(`api/similar?item=${encodeURIComponent(item.id)}`)).json();
      const grid = element("div", undefined, { class: "lists" });
      for (const list of answer.lists) grid.append(card(list.run, list.notes.join("; ") || "the most similar first", list.items.map((one) => entry(one))));
      const about = [plural(answer.item.popularity, "interaction"), ...answer.item.categories];
      view.replaceChildren(element("p", `${named(answer.item)}: ${about.join(", ")}.`), grid);
    } catch (error) {
      view.replaceChildren(element("p", `Error: ${error.message}.`));
    }
    if (move) { $("similar").scrollIntoView({ block: "start" }); $("similar-search").focus({ preventScroll: true }); }
  };

  const save = async () => {
    const { details, ...body } = wanted();
    try {
      const file = await (await post("api/list.csv", { ...body, spreadsheet_safe: true })).blob();
      const link = element("a", undefined, { download: "lists.csv" });
      link.href = URL.createObjectURL(file);
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      $("told").textContent = `${status} Saved as lists.csv.`;
    } catch (error) {
      $("told").textContent = `${status} Not saved. ${sentence(error)}`;
    }
  };

  search("user", "api/users", "users", (one) => one.id, (one) => chooseUser(one.id));
  search("basket", "api/items", "items", named, add);
  search("similar", "api/items", "items", named, (item) => showSimilar(item, false));
  const soon = later(update);
  $("diversity").addEventListener("input", () => { $("diversity-value").textContent = Number($("diversity").value).toFixed(2); soon(); });
  $("length").addEventListener("input", soon);
  const typed = later(update, 500);
  for (const id of ["only", "without"]) $(id).addEventListener("input", () => { countRules(); typed(); });
  $("reranker").addEventListener("change", update);
  for (const box of document.querySelectorAll('input[name="run"]')) box.addEventListener("change", update);
  for (const box of document.querySelectorAll('input[name="category"]')) box.addEventListener("change", changeRules);
  $("rules-clear").addEventListener("click", () => {
    for (const box of document.querySelectorAll('input[name="category"]')) box.checked = false;
    for (const id of ["only", "without"]) $(id).value = "";
    excluded.clear();
    changeRules();
    $("rules").querySelector("summary").focus();
  });
  $("user-back").addEventListener("click", () => { chooseUser(last); $("user-search").focus(); });
  $("basket-back").addEventListener("click", () => { chooseBasket(); $("basket-search").focus(); });
  $("basket-empty").addEventListener("click", () => { basket.clear(); changeBasket(); $("basket-search").focus(); });
  $("basket-copy").addEventListener("click", () => {
    basket.clear();
    for (const item of shown.history.slice(0, data.limits.history)) basket.set(item.id, { id: item.id, title: item.title });
    changeBasket();
    $("basket-search").focus();
  });
  $("save").addEventListener("click", save);
  countRules();
  // Something to look at: the first user.
  ask("api/users?q=&limit=1").then((response) => response.json()).then((found) => {
    if (user === null && !basket.size && found.users.length) chooseUser(found.users[0].id);
  }).catch((error) => tell(sentence(error)));
})();
