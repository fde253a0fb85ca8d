"use strict";
// Draws the flame graph and the timeline, and sorts the table. Text of the target only ever becomes
// text nodes.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const make = (tag, parent, text) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };

  const bytes = (value) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let size = Math.abs(value), unit = 0;
    while (size >= 1024 && unit < units.length - 1) { size /= 1024; unit += 1; }
    const digits = unit === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
    return `${value < 0 ? "-" : ""}${size.toFixed(digits)} ${units[unit]}`;
  };
  const count = (value) => Math.round(value).toLocaleString("en");
  const rate = (value) => `${value > 0 ? "+" : ""}${bytes(value)}/s`;
  const METRICS = [
    { id: "live-bytes", label: "Live bytes", column: 2, show: bytes },
    { id: "live-objects", label: "Live objects", column: 3, show: count },
    { id: "alloc-bytes", label: "Allocated bytes", column: 4, show: bytes },
    { id: "alloc-objects", label: "Allocated objects", column: 5, show: count },
    { id: "growth", label: "Growth", column: 6, show: rate, signed: true },
  ];

  // ---- flame graph: the root on top, each frame as wide as what was allocated under it.
  const ROW = 19, LEAST_PIXELS = 1;
  const graph = byId("graph"), about = byId("about"), search = byId("search"), reset = byId("reset");
  let metric = METRICS.find((one) => one.id === data.metric) || METRICS[0];
  let runtime = false, root, focus;

  const node = (name, frame, parent) =>
    ({ name, frame, parent, value: 0, net: 0, children: new Map() });

  const build = () => {
    root = node("all", null, null);
    for (const stack of data.stacks) {
      const net = stack[metric.column] || 0;
      const value = Math.abs(net);
      if (value === 0) continue;
      root.value += value;
      root.net += net;
      let at = root;
      const from = runtime ? 0 : stack[1];
      for (let index = stack[0].length - 1; index >= from; index -= 1) {
        const frame = data.frames[stack[0][index]];
        const name = data.names[frame[0]];
        let next = at.children.get(name);
        if (!next) {
          next = node(name, frame, at);
          at.children.set(name, next);
        }
        next.value += value;
        next.net += net;
        at = next;
      }
    }
    focus = root;
  };

  const hue = (name) => {
    const crate = name.replace(/^[<&*\s]+/, "").split("::")[0];
    let hash = 0;
    for (const letter of crate) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
    return 10 + hash % 45;
  };
  const colour = (of, box) => {
    if (metric.signed) {
      const share = of.value === 0 ? 0 : of.net / of.value;
      box.style.setProperty("--hue", share >= 0 ? "4" : "215");
      box.style.setProperty("--sat", `${Math.round(15 + 65 * Math.abs(share))}%`);
    } else {
      box.style.setProperty("--hue", String(hue(of.name)));
      box.style.setProperty("--sat", "75%");
    }
  };

  const hits = () => {
    const wanted = search.value.trim().toLowerCase();
    return wanted === "" ? null : (of) => of.name.toLowerCase().includes(wanted);
  };
  const share = (part, whole) => whole === 0 ? "" : `${(100 * part / whole).toFixed(1)} %`;
  const explain = (of) => {
    const place = of.frame && of.frame[1] >= 0
      ? ` · ${data.files[of.frame[1]]}${of.frame[2] ? `:${of.frame[2]}` : ""}` : "";
    const inlined = of.frame && of.frame[3] ? " · inlined" : "";
    about.textContent =
      `${of.name} · ${metric.show(of.net)} · ${share(of.value, root.value)} of all${place}${inlined}`;
  };

  const draw = () => {
    const width = graph.clientWidth, isHit = hits();
    graph.replaceChildren();
    let rows = 0;
    const put = (of, left, wide, row, above) => {
      const box = make("div", graph, of.name);
      box.className = above ? "frame above" : "frame";
      box.dataset.value = String(of.net);
      box.style.left = `${left}px`;
      box.style.width = `${Math.max(wide - 0.5, LEAST_PIXELS)}px`;
      box.style.top = `${row * ROW}px`;
      colour(of, box);
      if (isHit && isHit(of)) box.classList.add("hit");
      box.addEventListener("mouseenter", () => explain(of));
      box.addEventListener("click", () => { focus = of; explain(of); draw(); });
      rows = Math.max(rows, row + 1);
    };
    const path = [];
    for (let up = focus.parent; up; up = up.parent) path.unshift(up);
    path.forEach((of, row) => put(of, 0, width, row, true));
    const open = [[focus, 0, width, path.length]];
    while (open.length > 0) {
      const [of, left, wide, row] = open.pop();
      put(of, left, wide, row, false);
      let at = left;
      const children = [...of.children.values()].sort((a, b) => b.value - a.value);
      for (const child of children) {
        const part = wide * child.value / of.value;
        if (part >= LEAST_PIXELS) open.push([child, at, part, row + 1]);
        at += part;
      }
    }
    graph.style.height = `${Math.max(rows, 1) * ROW}px`;
    reset.disabled = focus === root;
    tellHits(isHit);
  };

  // A hit inside a hit counts once.
  const tellHits = (isHit) => {
    if (!isHit) { byId("found").textContent = ""; return; }
    let value = 0;
    const open = [root];
    while (open.length > 0) {
      const of = open.pop();
      if (isHit(of)) value += of.value; else open.push(...of.children.values());
    }
    byId("found").textContent = `found in ${share(value, root.value) || "nothing"}`;
  };

  const choose = (next) => {
    metric = next;
    for (const button of byId("metrics").children) {
      button.setAttribute("aria-pressed", String(button.dataset.metric === metric.id));
    }
    build();
    draw();
    explain(root);
    if (root.value === 0) {
      about.textContent = `Nothing to show of ${metric.label.toLowerCase()}.`;
    }
  };
  for (const one of METRICS) {
    const button = make("button", byId("metrics"), one.label);
    button.type = "button";
    button.dataset.metric = one.id;
    if (one.signed && !data.stacks.some((stack) => stack[one.column] !== null)) {
      button.disabled = true;
      button.title = "Known of recordings, and of targets that were watched (--for)";
    }
    button.addEventListener("click", () => choose(one));
  }
  byId("runtime").addEventListener("click", (event) => {
    runtime = !runtime;
    event.currentTarget.setAttribute("aria-pressed", String(runtime));
    choose(metric);
  });
  reset.addEventListener("click", () => { focus = root; draw(); });
  search.addEventListener("input", draw);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (search.value !== "") search.value = "";
      else if (focus.parent) focus = focus.parent;
      draw();
    } else if (event.key === "/" && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
    }
  });
  let width = 0;
  new ResizeObserver(() => {
    if (graph.clientWidth !== width) { width = graph.clientWidth; draw(); }
  }).observe(graph);
  choose(metric);

  // ---- timeline
  const SVG = "http://www.w3.org/2000/svg";
  const draft = (tag, parent, attributes) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    parent.append(element);
    return element;
  };
  const clock = (unixMs) => new Date(unixMs).toISOString().replace("T", " ").slice(0, 19) + " UTC";
  const chart = byId("chart"), points = data.history;
  if (chart && points.length > 1) {
    const first = points[0][0], last = points[points.length - 1][0];
    const most = Math.max(...points.map((point) => point[1]), 1);
    const x = (point) => 1000 * (point[0] - first) / Math.max(last - first, 1);
    const y = (point) => 195 - 185 * point[1] / most;
    const svg = draft("svg", chart, { viewBox: "0 0 1000 200", preserveAspectRatio: "none" });
    const line = points.map((point) => `${x(point).toFixed(1)},${y(point).toFixed(1)}`).join(" ");
    draft("polygon", svg, { class: "area", points: `0,200 ${line} 1000,200` });
    draft("polyline", svg, { class: "line", points: line });
    const at = draft("line", svg, { class: "at", y1: 0, y2: 200, x1: -1, x2: -1 });
    const ends = make("div", chart);
    ends.className = "ends soft";
    make("span", ends, clock(first));
    const middle = make("span", ends);
    make("span", ends, clock(last));
    const tell = (index) => {
      const point = points[index], before = points[Math.max(index - 1, 0)];
      const seconds = (point[0] - before[0]) / 1000;
      const allocated = seconds > 0
        ? ` · ${bytes((point[2] - before[2]) / seconds)}/s allocated` : "";
      middle.textContent = `${clock(point[0])}: ${bytes(point[1])} live${allocated}`;
    };
    middle.textContent = `up to ${bytes(most)} live`;
    svg.addEventListener("mousemove", (event) => {
      const box = svg.getBoundingClientRect();
      const place = 1000 * (event.clientX - box.left) / box.width;
      let nearest = 0;
      points.forEach((point, index) => {
        if (Math.abs(x(point) - place) < Math.abs(x(points[nearest]) - place)) nearest = index;
      });
      at.setAttribute("x1", x(points[nearest]));
      at.setAttribute("x2", x(points[nearest]));
      tell(nearest);
    });
  }

  // ---- table
  const heads = [...document.querySelectorAll("#sites thead th")];
  heads.forEach((head, column) => {
    const label = head.textContent;
    head.textContent = "";
    make("button", head, label).addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = document.querySelector("#sites tbody");
      const key = (row) => {
        const cell = row.cells[column], figure = cell.querySelector("data");
        return figure ? Number(figure.value) : cell.classList.contains("name") ? cell.textContent : -Infinity;
      };
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1));
      body.append(...rows.map(([, row]) => row));
    });
  });
  document.documentElement.dataset.drawn = "yes";
})();
