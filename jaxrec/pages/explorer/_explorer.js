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

  // What the lists are of.
  let user = null, shown = null, control = null;
  const basket = new Map(), excluded = new Map();
  const checked = (name) => Array.from(document.querySelectorAll(`input[name="${name}"]:checked`), (box) => box.value);
  const wanted = () => {
    const body = { details: true, diversity: Number($("diversity").value), reranker: $("reranker").value, k: Number($("length").value) };
    if (user !== null) body.user = user; else body.history = [...basket.keys()];
    const runs = checked("run"), categories = checked("category"), only = $("only").value.split(/[\s,]+/).filter(Boolean);
    if (runs.length && runs.length < data.runs.length) body.run = runs;
    if (categories.length) body.categories = categories;
    if (only.length) body.candidates = only;
    if (excluded.size) body.exclude = [...excluded.keys()];
    return body;
  };

  const chips = (box, items, label, act) => {
    box.replaceChildren(...Array.from(items.values(), (item) => {
      const line = element("li");
      line.append(button(`${named(item)} ×`, () => act(item), `${label} ${named(item)}`));
      return line;
    }));
  };
  const showBasket = () => {
    chips($("basket"), basket, "Remove from the basket:", (item) => { basket.delete(item.id); user = null; showBasket(); update(); $("basket-search").focus(); });
    $("basket-empty").disabled = !basket.size;
    $("basket-copy").disabled = user === null || !shown || !shown.history || !shown.history.length;
  };
  const add = (item) => {
    if (basket.size >= data.limits.history && !basket.has(item.id)) { $("told").textContent = `The basket is full with ${plural(basket.size, "item")}.`; return; }
    basket.set(item.id, item);
    user = null;
    showBasket();
    update();
  };
  const exclude = (item) => { excluded.set(item.id, item); showExcluded(); $("rules").open = true; update(); };
  const showExcluded = () => chips($("excluded"), excluded, "Let in again:", (item) => { excluded.delete(item.id); showExcluded(); update(); });

  const card = (title, told, lines, className = "") => {
    const made = element("div", undefined, { class: `card ${className}`.trim() }), list = element("ol");
    list.append(...lines);
    made.append(element("h3", title), element("p", told, { class: "note" }), list);
    if (className === "history") { list.tabIndex = 0; list.setAttribute("role", "list"); list.setAttribute("aria-label", title); }
    return made;
  };
  const entry = (item, buttons) => {
    const line = element("li", undefined, item.hit ? { class: "hit" } : {});
    if (buttons) {
      const place = element("span", undefined, { class: "acts" });
      place.append(
        button("+", () => add(item), `Add to the basket: ${named(item)}`), " ",
        button("−", () => exclude(item), `Exclude: ${named(item)}`), " ",
        button("≈", () => showSimilar(item, true), `Similar items: ${named(item)}`));
      line.append(place);
    }
    line.append(element("span", (item.hit ? "✓ " : "") + item.title, { class: "title" }));
    if (item.hit) line.append(element("span", " (hit)"));
    if (item.why) line.append(element("span", item.why.length ? `near ${item.why.map((one) => one.title).join("; ")}` : "near nothing in the history", { class: "why" }));
    return line;
  };
  const distance = (list) => (list.distance === null ? "no distance" : `distance ${list.distance.toFixed(3)}`);
  const showLists = () => {
    const view = $("view"), grid = element("div", undefined, { class: "lists" });
    const cut = shown.history.length < shown.history_length ? `the first ${shown.history.length} of ${shown.history_length}` : plural(shown.history_length, "item");
    grid.append(card(shown.user === null ? "Basket" : `History of user ${shown.user}`, cut, shown.history.map((item) => entry(item)), "history"));
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
      grid.append(card("Test items", "marked where a run has them", shown.test_items.map((item) => entry({ ...item, hit: found.has(item.id) })), "history"));
    view.replaceChildren(grid);
  };
  const update = async () => {
    control?.abort();
    const mine = (control = new AbortController());
    $("diversity-value").textContent = Number($("diversity").value).toFixed(2);
    if (user === null && !basket.size) {
      shown = null;
      $("view").replaceChildren();
      $("save").disabled = true;
      $("told").textContent = "Choose a user, or put an item into the basket.";
      return;
    }
    try {
      const answer = await (await post("api/recommend", wanted(), mine.signal)).json();
      if (mine !== control) return;
      shown = answer;
      showLists();
      showBasket();
      $("save").disabled = false;
      const whose = shown.user === null ? `a basket of ${plural(shown.history_length, "item")}` : `user ${shown.user}`;
      $("told").textContent = `${plural(shown.lists.length, "list")} for ${whose}: ${shown.lists.map((list) => `${list.run} ${distance(list)}`).join(", ")}.`;
    } catch (error) {
      if (error.name === "AbortError" || mine !== control) return;
      $("told").textContent = `Error: ${error.message}.`;
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
      $("told").textContent = "The lists were saved as lists.csv.";
    } catch (error) {
      $("told").textContent = `Error: ${error.message}.`;
    }
  };

  search("user", "api/users", "users", (one) => one.id, (one) => { user = one.id; update(); });
  search("basket", "api/items", "items", named, add);
  search("similar", "api/items", "items", named, (item) => showSimilar(item, false));
  const soon = later(update);
  $("diversity").addEventListener("input", () => { $("diversity-value").textContent = Number($("diversity").value).toFixed(2); soon(); });
  for (const id of ["length", "only"]) $(id).addEventListener("input", soon);
  $("reranker").addEventListener("change", update);
  for (const box of document.querySelectorAll('input[name="run"], input[name="category"]')) box.addEventListener("change", update);
  $("basket-empty").addEventListener("click", () => { basket.clear(); showBasket(); if (user === null) update(); $("basket-search").focus(); });
  $("basket-copy").addEventListener("click", () => {
    basket.clear();
    for (const item of shown.history.slice(0, data.limits.history)) basket.set(item.id, { id: item.id, title: item.title });
    user = null;
    showBasket();
    update();
  });
  $("save").addEventListener("click", save);
  showBasket();
  showExcluded();
  // Something to look at: the first user.
  ask("api/users?q=&limit=1").then((response) => response.json()).then((found) => {
    if (user === null && !basket.size && found.users.length) { user = found.users[0].id; update(); }
  }).catch((error) => { $("told").textContent = `Error: ${error.message}.`; });
})();
