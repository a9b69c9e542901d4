"use strict";
// Live figures of runs. Without this script, a page shows the figures of the time at which it was loaded.
function show(run) {
  let found = false;
  for (const row of document.querySelectorAll("[data-run]")) {
    if (row.dataset.run !== run.name) continue;
    found = true;
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
  return found;
}

const RETRY_MILLISECONDS = 10000;
const live = document.querySelector("[data-live]");
if (live) {
  const problem = document.querySelector("[data-live-problem]");
  let source = null;
  let errors = 0;
  let ended = false;
  function report(text) {
    problem.textContent = text;
    problem.hidden = text === "";
  }
  // A hidden page has no stream: a browser has at most six connections to a host, and the other pages need one.
  function connect() {
    if (source || ended || document.hidden) return;
    source = new EventSource(live.dataset.live);
    source.addEventListener("runs", (event) => {
      const runs = JSON.parse(event.data);
      const known = runs.map(show).every(Boolean) && runs.length === document.querySelectorAll("[data-run]").length;
      errors = 0;
      report(known ? "" : "The list of runs has changed; load the page again.");
      ended = live.dataset.live.includes("?") && runs.every((run) => run.ended);
      if (ended) source.close();
    });
    source.addEventListener("problem", (event) => {
      errors = 0;
      report(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      errors += 1;
      const closed = source.readyState === EventSource.CLOSED; // a response other than 200: the browser gives up
      if (closed || errors > 1) report("The live figures are interrupted; this page connects again.");
      if (closed) disconnect(RETRY_MILLISECONDS);
    });
  }
  function disconnect(retry) {
    source.close();
    source = null;
    if (retry) setTimeout(connect, retry);
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) connect();
    else if (source && !ended) disconnect();
  });
  connect();
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
