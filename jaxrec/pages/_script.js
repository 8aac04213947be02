"use strict";
// The report's search, lists and map. Text from the data is only ever set as text.
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const $ = (id) => document.getElementById(id);

  // Whole numbers as base64; the largest of a kind stands for -1.
  const numbers = (packed) => {
    const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
    const size = packed.bytes, view = new DataView(bytes.buffer), none = 2 ** (8 * size) - 1;
    const read = { 1: "getUint8", 2: "getUint16", 4: "getUint32" }[size];
    const out = new Int32Array(bytes.length / size);
    for (let at = 0; at < out.length; at++) {
      const value = view[read](at * size, true);
      out[at] = value === none ? -1 : value;
    }
    return out;
  };
  const each = (mapping) => Object.fromEntries(Object.entries(mapping).map(([name, one]) => [name, numbers(one)]));
  const rows = (packed) => {
    const ends = numbers(packed.ends), values = numbers(packed.values);
    return (at) => values.subarray(ends[at], ends[at + 1]);
  };
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const plural = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

  const { k, runs, titles, ids, users } = data;
  const lists = each(data.lists), reasons = each(data.reasons), similar = each(data.similar), values = each(data.values);
  const popularity = numbers(data.popularity), lengths = numbers(data.lengths), history = rows(data.history);
  const test = data.test === null ? null : rows(data.test);
  const similarAt = new Map(Array.from(numbers(data.similarOf), (item, at) => [item, at]));
  const named = (item) => (ids === null || ids[item] === titles[item] ? titles[item] : `${titles[item]} [${ids[item]}]`);

  // As searches compare texts: without case and accents.
  const LETTERS = { ß: "ss", ø: "o", đ: "d", ł: "l", ı: "i", æ: "ae", œ: "oe", ς: "σ" };
  const folded = (text) => text.normalize("NFKD").toLowerCase().replace(/[\u0300-\u036f]/g, "").replace(/[ßøđłıæœς]/g, (one) => LETTERS[one]).trim();
  // A field with the first matches below it as buttons; Enter takes the first.
  const search = (name, candidates, choose, most = 12) => {
    const plain = candidates.map(folded);
    const field = $(`${name}-search`), box = $(`${name}-matches`), hint = $(`${name}-hint`), first = hint.textContent;
    const show = () => {
      const words = folded(field.value);
      box.replaceChildren();
      if (!words) { hint.textContent = first; return; }
      const found = [];
      for (let at = 0; at < plain.length; at++) if (plain[at].includes(words)) found.push(at);
      found.sort((a, b) => rank(plain[a], words) - rank(plain[b], words) || a - b);
      for (const at of found.slice(0, most)) {
        const item = element("li"), button = element("button", candidates[at], { type: "button" });
        button.addEventListener("click", () => choose(at));
        item.append(button);
        box.append(item);
      }
      hint.textContent = found.length ? `${plural(found.length, "match").replace(/matchs$/, "matches")}${found.length > most ? `, the first ${most}` : ""}` : "No match.";
    };
    const rank = (text, words) => (text === words ? 0 : text.startsWith(words) ? 1 : 2);
    field.addEventListener("input", show);
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && box.querySelector("button")) { event.preventDefault(); box.querySelector("button").click(); }
      if (event.key === "Escape") { field.value = ""; show(); }
    });
  };

  const entry = (item, className, mark, why) => {
    const line = element("li", undefined, className ? { class: className } : {});
    line.append(element("span", (mark ? "✓ " : "") + titles[item]));
    if (mark) line.append(element("span", " (hit)"));
    if (why) line.append(element("span", why, { class: "why" }));
    return line;
  };
  // A long history is as long as the lists, until it is asked for the rest.
  const shorten = (made, list, title) => {
    const few = Math.max(k, 5), rest = [...list.children].slice(few), more = element("button", "", { type: "button", class: "more" });
    if (!rest.length) return;
    const show = (open) => {
      for (const line of rest) line.hidden = !open;
      more.textContent = open ? `Show the first ${few}` : `Show all ${list.children.length}`;
      more.setAttribute("aria-expanded", String(open));
      more.setAttribute("aria-label", `${more.textContent}: ${title}`);
    };
    more.addEventListener("click", () => show(more.getAttribute("aria-expanded") === "false"));
    show(false);
    made.append(more);
  };
  const card = (title, told, items, className = "") => {
    const made = element("div", undefined, { class: `card ${className}`.trim() });
    const list = element("ol");
    list.append(...items);
    made.append(element("h4", title), element("p", told, { class: "note" }), list);
    if (className === "history") shorten(made, list, title);
    return made;
  };

  const showUser = (at) => {
    const view = $("user-view"), mine = history(at), hidden = test === null ? [] : test(at), wanted = new Set(hidden);
    view.replaceChildren();
    const told = [`User ${users[at]}: ${plural(lengths[at], "item")} in the history`];
    if (test !== null) told.push(`${plural(hidden.length, "test item")}`);
    view.append(element("p", `${told.join(", ")}.`));
    const grid = element("div", undefined, { class: "lists" });
    const cut = mine.length < lengths[at] ? `the latest ${mine.length} of ${lengths[at]}` : "the latest first, where there are times";
    grid.append(card("History", cut, Array.from(mine, (item) => entry(item)), "history"));
    const found = new Set();
    for (const run of runs) {
      const items = [];
      let hits = 0;
      for (let place = 0; place < k; place++) {
        const item = lists[run][at * k + place];
        if (item < 0) continue;
        const hit = wanted.has(item);
        if (hit) { hits++; found.add(item); }
        let why = "";
        if (reasons[run]) {
          const from = (at * k + place) * data.reasonCount, nearest = [];
          for (const near of reasons[run].subarray(from, from + data.reasonCount)) if (near >= 0) nearest.push(titles[mine[near]]);
          why = nearest.length ? `near ${nearest.join("; ")}` : "near nothing in the history";
        }
        items.push(entry(item, hit ? "hit" : "", hit, why));
      }
      const value = values[run] && values[run][at] >= 0 ? `${data.main} ${(values[run][at] / 1000).toFixed(3).replace(/^0/, "")}` : "";
      const score = test === null ? "" : `${plural(hits, "hit")} in ${items.length}`;
      grid.append(card(run, [score, value].filter(Boolean).join(", ") || `${items.length} items`, items));
    }
    if (test !== null && hidden.length) {
      const items = Array.from(hidden, (item) => entry(item, found.has(item) ? "hit" : "", found.has(item)));
      grid.append(card("Test items", "marked where a run has them", items, "history"));
    }
    view.append(grid);
    for (const button of document.querySelectorAll("button[data-user]"))
      button.setAttribute("aria-pressed", String(Number(button.dataset.user) === at));
  };

  const showItem = (item) => {
    const view = $("item-view");
    view.replaceChildren();
    view.append(element("p", `${named(item)}: ${plural(popularity[item], "interaction")} in training.`));
    const at = similarAt.get(item), grid = element("div", undefined, { class: "lists" });
    for (const run of Object.keys(similar)) {
      const items = [];
      if (at !== undefined)
        for (const near of similar[run].subarray(at * data.similarCount, (at + 1) * data.similarCount))
          if (near >= 0) items.push(entry(near));
      grid.append(card(run, items.length ? "the most similar first" : "nothing is similar, or it was not computed", items));
    }
    if (!grid.children.length) grid.append(element("p", "No run has a similarity of items."));
    view.append(grid);
    map.choose(item, false);
  };

  // The map: a canvas, with the items' titles below it for pointer and keyboard.
  const map = (() => {
    const canvas = $("map");
    if (!canvas) return { choose() {} };
    const told = $("map-told"), space = $("map-space"), items = numbers(data.map.items), color = numbers(data.map.color);
    const placeOf = new Map(Array.from(items, (item, at) => [item, at]));
    const last = data.map.colors.length - 1, hint = told.textContent;
    const cache = {};
    let chosen = -1, found = null, size = [0, 0], points = null, plain = null;
    const coordinates = () => {
      const name = space.value;
      cache[name] ??= { x: numbers(data.map.spaces[name].x), y: numbers(data.map.spaces[name].y) };
      return cache[name];
    };
    const lay = () => {
      const box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
      size = [Math.max(box.width, 50), Math.max(box.height, 50)];
      canvas.width = Math.round(size[0] * ratio);
      canvas.height = Math.round(size[1] * ratio);
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
      const { x, y } = coordinates();
      const range = (one) => one.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
      const [left, right] = range(x), [bottom, top] = range(y), pad = 14;
      const scale = Math.min((size[0] - 2 * pad) / Math.max(right - left, 1), (size[1] - 2 * pad) / Math.max(top - bottom, 1));
      points = { x: new Float32Array(x.length), y: new Float32Array(x.length) };
      for (let at = 0; at < x.length; at++) {
        points.x[at] = size[0] / 2 + (x[at] - (left + right) / 2) * scale;
        points.y[at] = size[1] / 2 - (y[at] - (bottom + top) / 2) * scale;
      }
    };
    const SIDES = { 2: [3, -0.5], 1: [4, 0.25], 3: [4, 0], 4: [3, 0.5], 7: [6, 0] };
    const trace = (pen, kind, x, y, r) => {
      pen.beginPath();
      if (kind === 0) pen.arc(x, y, r, 0, 2 * Math.PI);
      else if (kind === 5 || kind === 6) {
        const w = r / 2.6, turn = kind === 5 ? 0 : Math.PI / 4;
        for (let quarter = 0; quarter < 4; quarter++) {
          const cos = Math.cos(turn + quarter * Math.PI / 2), sin = Math.sin(turn + quarter * Math.PI / 2);
          for (const [a, b] of [[w, -w], [r * 1.25, -w], [r * 1.25, w]]) pen.lineTo(x + a * cos - b * sin, y + a * sin + b * cos);
        }
        pen.closePath();
      } else {
        const [corners, turn] = SIDES[kind];
        for (let at = 0; at < corners; at++) {
          const angle = Math.PI * (turn + 2 * at / corners);
          pen.lineTo(x + 1.25 * r * Math.cos(angle), y + 1.25 * r * Math.sin(angle));
        }
        pen.closePath();
      }
    };
    // Where a label covers the fewest points: near its own one, and else further off or in a corner, with a line to it.
    const labelled = (x, y, wide) => {
      const places = [];
      for (const far of [14, 30, 55, 90])
        for (const [across, down] of [[-wide / 2, -far], [-wide / 2, far + 10], [far, 4], [-wide - far, 4], [far, -far], [-wide - far, -far], [far, far + 10], [-wide - far, far + 10]])
          places.push([x + across, y + down]);
      for (const across of [6, size[0] - wide - 6]) for (const down of [20, size[1] - 10]) places.push([across, down]);
      let best = null, least = Infinity;
      for (const [across, down] of places) {
        const left = Math.min(Math.max(across, 4), size[0] - wide - 4), base = Math.min(Math.max(down, 18), size[1] - 8);
        let covered = 0;
        for (let at = 0; at < items.length; at++)
          covered += points.x[at] > left - 5 && points.x[at] < left + wide + 5 && points.y[at] > base - 17 && points.y[at] < base + 8;
        if (covered < least) { least = covered; best = [left, base]; }
      }
      canvas.dataset.covered = least;
      return best;
    };
    const draw = () => {
      if (!points) lay();
      const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
      const colors = Array.from({ length: 8 }, (_, at) => style.getPropertyValue(`--s${at}`).trim());
      const ink = style.getPropertyValue("--ink").trim(), page = style.getPropertyValue("--page").trim();
      pen.clearRect(0, 0, size[0], size[1]);
      // "other" lies below, quiet; what the search found lies above.
      const order = Array.from(items.keys()).sort((a, b) => (color[b] === last) - (color[a] === last));
      for (const at of order) {
        const other = color[at] === last && last >= 4, off = found && !found.has(at);
        pen.globalAlpha = off ? 0.1 : other ? 0.35 : 0.75;
        pen.fillStyle = colors[color[at] % 8];
        trace(pen, color[at] % 8, points.x[at], points.y[at], found && !off ? 4.5 : other ? 2.2 : 3);
        pen.fill();
      }
      pen.globalAlpha = 1;
      if (chosen >= 0) {
        const x = points.x[chosen], y = points.y[chosen];
        pen.lineWidth = 2; pen.strokeStyle = ink; pen.fillStyle = colors[color[chosen] % 8];
        trace(pen, color[chosen] % 8, x, y, 7); pen.fill(); pen.stroke();
        const text = titles[items[chosen]];
        pen.font = `600 13px ${style.fontFamily || "sans-serif"}`;
        const wide = Math.min(pen.measureText(text).width, size[0] - 8);
        const [start, down] = labelled(x, y, wide);
        if (Math.hypot(Math.max(start - x, x - start - wide, 0), Math.max(down - 13 - y, y - down - 4, 0)) > 16) {
          pen.lineWidth = 1.5; pen.beginPath(); pen.moveTo(x, y);
          pen.lineTo(Math.min(Math.max(x, start), start + wide), y < down ? down - 13 : down + 4); pen.stroke();
        }
        pen.lineWidth = 4; pen.strokeStyle = page; pen.strokeText(text, start, down, size[0] - 8);
        pen.fillStyle = ink; pen.fillText(text, start, down, size[0] - 8);
      }
    };
    const choose = (at, say = true) => {
      chosen = at;
      if (say) told.textContent = at < 0 ? hint : `${named(items[at])}: ${data.map.colors[color[at]]}, ${plural(popularity[items[at]], "interaction")}.`;
      draw();
    };
    const nearest = (x, y, within) => {
      let best = -1, least = within * within;
      for (let at = 0; at < items.length; at++) {
        if (found && !found.has(at)) continue;
        const d = (points.x[at] - x) ** 2 + (points.y[at] - y) ** 2;
        if (d < least) { least = d; best = at; }
      }
      return best;
    };
    const under = (event, within) => {
      const box = canvas.getBoundingClientRect();
      return nearest(event.clientX - box.left, event.clientY - box.top, within);
    };
    canvas.addEventListener("pointermove", (event) => { const at = under(event, 14); if (at >= 0 && at !== chosen) choose(at); });
    canvas.addEventListener("click", (event) => { const at = under(event, 24); if (at >= 0) { choose(at); showItem(items[at]); } });
    canvas.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.key === "Enter" && chosen >= 0) { showItem(items[chosen]); return; }
      if (!way) return;
      event.preventDefault();
      if (chosen < 0) { choose(nearest(size[0] / 2, size[1] / 2, Infinity)); return; }
      let best = -1, least = Infinity;
      for (let at = 0; at < items.length; at++) {
        if (at === chosen || (found && !found.has(at))) continue;
        const dx = points.x[at] - points.x[chosen], dy = points.y[at] - points.y[chosen];
        const along = dx * way[0] + dy * way[1], aside = Math.abs(dx * way[1] + dy * way[0]);
        if (along > 0.5 && along + 2 * aside < least) { least = along + 2 * aside; best = at; }
      }
      if (best >= 0) choose(best);
    });
    $("map-search").addEventListener("input", (event) => {
      const words = folded(event.target.value);
      plain ??= Array.from(items, (item) => folded(named(item)));
      found = words ? new Set(Array.from(items.keys()).filter((at) => plain[at].includes(words))) : null;
      const first = found && found.size ? found.values().next().value : -1;
      chosen = first;
      told.textContent = !found ? hint : found.size === 1 ? named(items[first]) : `${found.size} of ${items.length} items${first >= 0 ? `, first ${named(items[first])}` : ""}.`;
      draw();
    });
    space.addEventListener("change", () => { lay(); draw(); });
    new ResizeObserver(() => { lay(); draw(); }).observe(canvas);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    window.addEventListener("beforeprint", draw);
    lay();
    draw();
    return { choose: (item, say) => { if (placeOf.has(item)) choose(placeOf.get(item), say); } };
  })();

  search("user", users, showUser);
  const names = titles.map((_, item) => named(item));
  search("item", names, showItem);
  for (const button of document.querySelectorAll("button[data-user]"))
    button.addEventListener("click", () => {
      showUser(Number(button.dataset.user));
      $("user-view").scrollIntoView({ block: "start" });
    });
  // Something to look at before anything is searched: the most served user, and the most popular item.
  const start = document.querySelector("button[data-user]");
  if (users.length) showUser(start ? Number(start.dataset.user) : 0);
  if (titles.length) showItem(popularity.reduce((best, value, at) => (value > popularity[best] ? at : best), 0));
})();
