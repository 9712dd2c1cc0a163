"use strict";
(() => {
  const data = JSON.parse(document.getElementById("charts").textContent);
  const said = document.getElementById("said");
  const hidden = new Set();
  const plots = [];
  const HEIGHT = 250;

  const number = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size >= 1e7 || (size > 0 && size < 1e-4)) return (+value.toPrecision(3)).toExponential();
    return size >= 1000 ? Math.round(value).toLocaleString("en").replaceAll(",", "\u2009") : String(+value.toPrecision(4));
  };
  const make = (name, properties = {}, children = []) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle; else high = middle;
    }
    return Math.abs(xs[high] - x) < Math.abs(xs[low] - x) ? high : low;
  };

  // Ticks of a logarithmic axis: 1, 2 and 5; only powers of ten over many decades; evenly spaced ticks within less than a decade.
  function logTicks(low, high) {
    const tens = (factors) => {
      const found = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) found.push(...factors.map((one) => +(one * 10 ** power).toPrecision(12)));
      return found.filter((one) => one >= low * 0.999999 && one <= high * 1.000001);
    };
    const decades = Math.log10(high / low);
    if (decades > 6) return tens([1]).filter((one) => Math.round(Math.log10(one)) % 2 === 0);
    if (decades > 2) return tens([1]);
    const found = tens([1, 2, 5]);
    if (found.length > 2) return found;
    const step = [1, 2, 5, 10].map((one) => one * 10 ** Math.floor(Math.log10((high - low) / 4))).find((one) => (high - low) / one <= 5);
    const even = [];
    for (let at = Math.ceil(low / step) * step; at <= high; at += step) even.push(+at.toPrecision(12));
    return even;
  }

  // One chart: its data from the page, the plot, and elements for keyboards and screen readers.
  function draw(figure) {
    const spec = data[figure.dataset.group][figure.dataset.chart];
    const stacked = spec.series.some((one) => one.kind === "area");
    const xsOf = (one) => one.x || spec.x;
    const values = spec.series.map((one) => one.values);
    const drawn = stacked
      ? values.map((_, row) => spec.x.map((_, at) => values.slice(0, row + 1).reduce((sum, one) => sum + (one[at] || 0), 0)))
      : values;
    const shared = spec.series.every((one) => one.x === null);
    const aligned = shared ? [spec.x, ...drawn] : uPlot.join(spec.series.map((one, row) => [xsOf(one), drawn[row]]));

    const limitsOf = (axis) => spec.limits.filter((one) => one.axis === axis).map((one) => one.at);
    const span = (axis, log, most) => (plot, low, high) => {
      if (low === null || high === null) return log ? [1, 10] : [0, 1];
      const zoomed = axis === "x" && plot.zoomed;
      const all = zoomed ? [low, high] : [low, high, ...limitsOf(axis)];
      low = Math.min(...all); high = Math.max(...all);
      if (zoomed) return [low, high];
      if (log) return [low / 1.1, high * 1.1];
      if (axis === "x") return high > low ? [low, high] : [low - 0.5, high + 0.5];
      return [Math.min(0, low), most === null ? high * 1.06 || 1 : most * 1.02];
    };
    const axis = (label, log, more) => ({
      label, labelSize: 22, labelFont: "13px system-ui, sans-serif", font: "12px system-ui, sans-serif", stroke: "#333",
      grid: {stroke: "#e3e6e9", width: 1}, ticks: {stroke: "#c5cad0", width: 1}, values: (_, splits) => splits.map((one) => one === null ? "" : number(one)), ...more,
      ...(log ? {splits: (_, __, low, high) => logTicks(low, high), filter: (_, splits) => splits} : {}),
    });
    const lines = spec.series.map((one, row) => {
      const look = {label: one.label, stroke: one.colour, width: one.width, dash: one.dash.map((part) => 2 * part), points: {show: false}, spanGaps: false};
      if (one.kind === "steps") look.paths = uPlot.paths.stepped({align: 1});
      if (one.kind === "points") Object.assign(look, {paths: () => null, points: {show: true, size: 4, width: 0, stroke: one.colour, fill: one.colour + "59"}});
      if (one.kind === "area") Object.assign(look, {width: 0, fill: row ? undefined : one.colour});
      return look;
    });

    const limits = (plot) => {
      const {ctx, bbox} = plot, ratio = devicePixelRatio || 1;
      ctx.save();
      ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
      ctx.strokeStyle = ctx.fillStyle = "#a3001f"; ctx.lineWidth = ratio; ctx.setLineDash([4 * ratio, 3 * ratio]); ctx.font = `${12 * ratio}px system-ui, sans-serif`;
      for (const one of spec.limits) {
        const at = plot.valToPos(one.at, one.axis, true);
        ctx.beginPath();
        if (one.axis === "x") { ctx.moveTo(at, bbox.top); ctx.lineTo(at, bbox.top + bbox.height); } else { ctx.moveTo(bbox.left, at); ctx.lineTo(bbox.left + bbox.width, at); }
        ctx.stroke();
        const wide = ctx.measureText(one.label).width, right = one.axis === "y" || at + wide + 6 * ratio > bbox.left + bbox.width;
        ctx.textAlign = right ? "right" : "left";
        ctx.save(); ctx.setLineDash([]); ctx.strokeStyle = "#ffffff"; ctx.lineWidth = 4 * ratio; ctx.lineJoin = "round";
        const place = [one.axis === "x" ? at + (right ? -4 : 4) * ratio : bbox.left + bbox.width - 4 * ratio, one.axis === "x" ? bbox.top + 13 * ratio : at - 4 * ratio];
        ctx.strokeText(one.label, ...place);
        ctx.restore();
        ctx.fillText(one.label, ...place);
      }
      ctx.restore();
    };

    const readout = make("p", {className: "readout"});
    const tell = (x) => {  // a legend; with the values at x, if it is given
      const parts = spec.series.filter((one) => !hidden.has(one.run) && xsOf(one).length).map((one) => {
        const key = make("span", {className: "key"});
        key.style.background = one.colour;
        return make("span", {className: "part"}, [key, x === null ? one.label : `${one.label} ${number(one.values[nearest(xsOf(one), x)])}`]);
      });
      readout.replaceChildren(...parts, ...(x === null ? [] : [make("span", {className: "part", textContent: `at ${spec.x_label} ${number(x)}`})]));
    };
    const target = make("div", {className: "plot", tabIndex: 0});
    target.setAttribute("role", "application");
    target.setAttribute("aria-roledescription", "chart");
    target.setAttribute("aria-labelledby", `${figure.dataset.group}-${figure.dataset.chart}`);
    target.title = "Drag to zoom, double-click to show all. Keys: arrows read values, + and - zoom, 0 shows all.";
    figure.append(target, readout);

    const one = {};
    const plot = new uPlot({
      width: figure.clientWidth || 400, height: HEIGHT, legend: {show: false},
      scales: {x: {time: false, distr: spec.x_log ? 3 : 1, range: span("x", spec.x_log, null)}, y: {distr: spec.y_log ? 3 : 1, range: span("y", spec.y_log, spec.y_max)}},
      axes: [axis(spec.x_label, spec.x_log, {size: 36}), axis(spec.y_label, spec.y_log, {size: 62})],
      series: [{}, ...lines],
      bands: stacked ? spec.series.slice(1).map((one, row) => ({series: [row + 2, row + 1], fill: one.colour})) : [],
      cursor: {drag: {x: true, y: false, setScale: false}, bind: {dblclick: () => () => one.zoom(...one.whole)}, sync: spec.sync ? {key: spec.sync, scales: ["x", null]} : undefined, points: {show: !stacked && spec.series[0].kind !== "points"}},
      hooks: {
        draw: [limits],
        setCursor: [(of) => { if (one.whole) tell(of.cursor.left >= 0 ? of.posToVal(of.cursor.left, "x") : null); }],
        setSelect: [(of) => {
          const {left, width} = of.select;
          if (width > 2) one.zoom(of.posToVal(left, "x"), of.posToVal(left + width, "x"));
          of.setSelect({left: 0, width: 0, top: 0, height: 0}, false);
        }],
        ready: [(of) => { one.whole = [of.scales.x.min, of.scales.x.max]; }],
      },
    }, aligned, target);
    Object.assign(one, {spec, plot, target, figure, tell});
    one.zoom = (low, high, leads = true) => {  // charts over simulated time zoom together
      const [from, to] = [Math.max(low, one.whole[0]), Math.min(high, one.whole[1])];
      plot.zoomed = to > from && (from > one.whole[0] || to < one.whole[1]);
      target.dataset.zoomed = plot.zoomed ? "yes" : "no";
      plot.setScale("x", plot.zoomed ? {min: from, max: to} : {min: one.whole[0], max: one.whole[1]});
      if (leads && spec.sync) for (const other of plots) if (other !== one && other.spec.sync === spec.sync) other.zoom(...(plot.zoomed ? [from, to] : other.whole), false);
    };
    tell(null);
    keys(one, readout);
    tools(one);
    plots.push(one);
  }

  const part = (one, factor) => {
    const {min, max} = one.plot.scales.x, log = one.spec.x_log;
    const [low, high] = log ? [Math.log(min), Math.log(max)] : [min, max];
    const cursor = one.plot.cursor.left >= 0 ? one.plot.posToVal(one.plot.cursor.left, "x") : null;
    const middle = cursor === null ? (low + high) / 2 : log ? Math.log(cursor) : cursor, half = (high - low) * factor / 2;
    const [from, to] = [middle - half, middle + half].map((at) => log ? Math.exp(at) : at);
    one.zoom(from, to);
  };

  function keys(one, readout) {
    const {target, plot} = one;
    target.addEventListener("keydown", (event) => {
      const wide = plot.over.clientWidth, at = plot.cursor.left >= 0 ? plot.cursor.left : wide / 2;
      const steps = {ArrowLeft: -wide / 50, ArrowRight: wide / 50, PageUp: -wide / 5, PageDown: wide / 5, Home: -wide, End: wide};
      if (event.key in steps) {
        readout.setAttribute("aria-live", "polite");
        const left = Math.min(Math.max(at + steps[event.key], 0), wide - 1);
        plot.setCursor({left, top: plot.over.clientHeight / 2});
        one.tell(plot.posToVal(left, "x"));
      } else if (event.key === "+" || event.key === "=") part(one, 0.5);
      else if (event.key === "-") part(one, 2);
      else if (event.key === "0" || event.key === "Escape") one.zoom(...one.whole);
      else return;
      event.preventDefault();
    });
    target.addEventListener("blur", () => readout.removeAttribute("aria-live"));
  }

  function tools(one) {
    const title = one.figure.querySelector("figcaption").textContent;
    const button = (text, what, act) => {
      const made = make("button", {type: "button", textContent: text});
      made.setAttribute("aria-label", `${what}: ${title}`);
      made.addEventListener("click", act);
      return made;
    };
    const table = make("details", {}, [make("summary", {textContent: "Values"})]);
    table.addEventListener("toggle", () => { if (table.open) table.replaceChildren(table.firstChild, valuesOf(one, title)); });
    one.figure.append(make("div", {className: "tools"}, [
      button("+", "Zoom in", () => part(one, 0.5)), button("−", "Zoom out", () => part(one, 2)), button("All", "Show all", () => one.zoom(...one.whole)), table,
    ]));
  }

  // Values at about forty positions of the chart, for readers who do not see it.
  function valuesOf(one, title) {
    const {spec} = one, shown = spec.series.filter((each) => !hidden.has(each.run));
    const longest = shown.reduce((most, each) => (each.x || spec.x).length > most.length ? each.x || spec.x : most, []);
    const step = Math.max(Math.ceil(longest.length / 40), 1);
    const head = make("tr", {}, [spec.x_label, ...shown.map((each) => `${each.label}: ${spec.y_label}`)].map((text) => make("th", {scope: "col", textContent: text})));
    const rows = longest.filter((_, at) => at % step === 0 || at === longest.length - 1).map((x) => make("tr", {}, [
      make("th", {scope: "row", textContent: number(x)}),
      ...shown.map((each) => make("td", {className: "number", textContent: number(each.values[nearest(each.x || spec.x, x)])})),
    ]));
    const scroll = make("div", {className: "scroll", tabIndex: 0}, [make("table", {}, [make("caption", {textContent: title}), make("thead", {}, [head]), make("tbody", {}, rows)])]);
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", `Values: ${title}`);
    return scroll;
  }

  function toggle(box) {
    const run = Number(box.dataset.toggles);
    if (box.checked) hidden.delete(run); else hidden.add(run);
    document.querySelectorAll(`[data-run="${run}"]`).forEach((element) => element.classList.toggle("off", !box.checked));
    for (const {plot, spec, tell} of plots) {
      tell(null);
      spec.series.forEach((one, row) => { if (one.run === run && spec.run === null) plot.setSeries(row + 1, {show: box.checked}); });
    }
    if (box.checked) resize();
  }

  function sort(button) {
    const head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0], place = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => { const cell = row.cells[place]; return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value); };
    const empty = (value) => value === "–" || value === "";
    const rows = [...body.rows].map((row) => [key(row), row]);
    rows.sort(([a], [b]) => {
      if (empty(a) || empty(b)) return empty(a) - empty(b);
      const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", {numeric: true});
      return down ? -order : order;
    });
    body.append(...rows.map(([, row]) => row));
    said.textContent = `${table.caption.textContent}: sorted by ${button.textContent.trim()}, ${down ? "descending" : "ascending"}`;
  }

  const resize = (wide) => plots.forEach(({plot, figure}) => {
    const width = typeof wide === "number" ? wide : figure.clientWidth;
    if (width && width !== plot.width) plot.setSize({width, height: HEIGHT});
  });

  document.querySelectorAll(".chart").forEach(draw);
  document.querySelectorAll("[data-toggles]").forEach((box) => { box.checked = true; box.addEventListener("change", () => toggle(box)); });
  document.querySelectorAll(".sorts th button").forEach((button) => button.addEventListener("click", () => sort(button)));
  addEventListener("resize", () => resize());
  addEventListener("beforeprint", () => resize(640));
  addEventListener("afterprint", () => resize());
  document.documentElement.dataset.ready = "yes";
})();
