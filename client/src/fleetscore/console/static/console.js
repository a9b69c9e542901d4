"use strict";
// Live figures of runs. Without this script, a page shows the figures of the time at which it was loaded.
function show(run) {
  for (const row of document.querySelectorAll("[data-run]")) {
    if (row.dataset.run !== run.name) continue;
    const figures = { ...run, ...run.counts };
    for (const cell of row.querySelectorAll("[data-figure]")) {
      const text = String(figures[cell.dataset.figure] ?? "");
      if (cell.textContent !== text) cell.textContent = text;
    }
    const bar = row.querySelector("progress");
    if (bar) {
      bar.max = run.total || 1;
      bar.value = run.done;
    }
  }
}

const live = document.querySelector("[data-live]");
if (live) {
  const source = new EventSource(live.dataset.live);
  const problem = document.querySelector("[data-live-problem]");
  source.addEventListener("runs", (event) => {
    const runs = JSON.parse(event.data);
    runs.forEach(show);
    problem.hidden = true;
    if (runs.length && runs.every((run) => run.ended)) source.close();
  });
  source.addEventListener("problem", (event) => {
    problem.textContent = JSON.parse(event.data);
    problem.hidden = false;
  });
}

// A click on the picture of the heat map opens the device of the row.
const picture = document.querySelector("picture[data-rows]");
if (picture) {
  picture.classList.add("clickable");
  picture.addEventListener("click", (event) => {
    const box = picture.querySelector("img").getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * Number(picture.dataset.rows));
    const address = new URL(picture.dataset.link, location.origin);
    address.searchParams.set("row", String(row));
    location.assign(address);
  });
}
