"use strict";

document.documentElement.classList.add("script");

const charts = JSON.parse(document.getElementById("charts").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 45rem)");
// Where a finger scrolls the page, dragging must not zoom a figure.
const coarse = matchMedia("(pointer: coarse)");

/** `@name` becomes the colour that the style sheet gives to --name now. */
function painted(value, style) {
  if (typeof value === "string") {
    return value.startsWith("@") ? style.getPropertyValue("--" + value.slice(1)).trim() : value;
  }
  if (Array.isArray(value)) {
    return value.map((item) => painted(item, style));
  }
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, painted(item, style)]));
  }
  return value;
}

function axis(own) {
  return {
    gridcolor: "@grid",
    zeroline: false,
    linecolor: "@rule",
    showline: true,
    tickcolor: "@rule",
    ticks: "outside",
    ticklen: 4,
    nticks: narrow.matches ? 5 : 8,
    automargin: true,
    // Ticks that a figure names itself would run into one another.
    tickangle: narrow.matches && own.ticktext ? -40 : "auto",
    ...own,
    title: { standoff: 12, font: { size: 13, color: "@ink-soft" }, ...own.title },
  };
}

function layout(own) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "@ink-soft" },
    margin: { l: 48, r: 12, t: 8, b: 48 },
    hovermode: "closest",
    hoverlabel: { bgcolor: "@panel", bordercolor: "@rule", font: { color: "@ink", size: 11.5 }, align: "left" },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 }, tracegroupgap: 0 },
    dragmode: coarse.matches ? false : "zoom",
    ...own,
    xaxis: axis(own.xaxis),
    yaxis: axis(own.yaxis),
  };
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  const config = {
    responsive: true,
    // Dragging zooms and a double click resets; a bar of buttons over each figure would hide more than it helps.
    displayModeBar: false,
  };
  for (const chart of charts) {
    Plotly.react(chart.id, painted(chart.data, style), painted(layout(chart.layout), style), config);
  }
}

/** Numbers by size, texts by the alphabet; what has no value stays at the end either way. */
function compare(first, second, sign) {
  if (first === "" || second === "") {
    return (first === "") - (second === "");
  }
  const difference = Number(first) - Number(second);
  return sign * (Number.isNaN(difference) ? first.localeCompare(second, undefined, { numeric: true }) : difference);
}

function sortBy(table, head) {
  const ascending = head.getAttribute("aria-sort") !== "ascending";
  for (const other of table.querySelectorAll("thead th")) {
    other.removeAttribute("aria-sort");
  }
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [row.cells[head.cellIndex].dataset.value, row]);
  rows.sort(([first], [second]) => compare(first, second, ascending ? 1 : -1));
  body.append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => sortBy(table, button.closest("th")));
  }
}
const frontOnly = document.getElementById("front-only");
frontOnly?.addEventListener("change", () => {
  document.getElementById("all").classList.toggle("only-front", frontOnly.checked);
});
for (const change of [dark, narrow]) {
  change.addEventListener("change", draw);
}
draw();
