'use strict';
// The charts of the last quarter of an hour, and the tables, which the daemon renders.
(() => {
  const mostPoints = 900;
  const figures = {cpu: 0, requests: 1, p99: 2, connections: 3, memory: 4};
  const units = {cpu: ' %', requests: '/s', p99: ' ms', connections: '', memory: ' MB', types: '/s'};
  const colours = ['#3b82f6', '#f59e0b', '#10b981', '#ef4444', '#8b5cf6', '#14b8a6', '#ec4899', '#84cc16', '#6366f1', '#f97316'];

  let points = [], types = [], buses = null, after = 0;
  const charts = [...document.querySelectorAll('.chart')].map((box) => ({
    box, bus: box.dataset.bus, figure: box.dataset.figure, target: parseFloat(box.dataset.target) || null,
    graph: null, names: [], file: [], hovered: false,
  }));

  const number = (value) => value === null || value === undefined ? '-'
    : value >= 1000 ? Math.round(value).toLocaleString('en') : String(Math.round(value * 100) / 100);

  // dygraphs' own legend sets a style attribute, which the page's policy forbids.
  Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => plugin !== Dygraph.Plugins.Legend);

  function showLegend(chart, values) {
    chart.box.querySelector('.legend').replaceChildren(...chart.names.map((name, i) => {
      const span = document.createElement('span');
      span.style.color = colours[i % colours.length];
      span.textContent = `${name} ${number(values[i])}${units[chart.figure]}`;
      return span;
    }));
  }

  // The series of a chart: their names, and a function that takes their values from a point.
  function seriesOf(chart) {
    const bus = buses.indexOf(chart.bus);
    if (chart.figure === 'types') {
      const places = types.map((type, place) => ({...type, place})).filter((type) => type.bus === chart.bus);
      return {names: places.map((p) => p.type), values: (point) => places.map((p) => point.types[p.place] ?? null)};
    }
    const index = figures[chart.figure], scale = chart.figure === 'memory' ? 1 / 1048576 : 1;
    const value = (point) => point.buses[bus]?.[index] ?? null;
    const scaled = (point) => value(point) === null ? null : value(point) * scale;
    if (chart.figure === 'p99' && chart.target !== null)
      return {names: ['p99', 'target'], values: (point) => [scaled(point), chart.target]};
    return {names: [chart.figure], values: (point) => [scaled(point)]};
  }

  function draw(chart) {
    const {names, values} = seriesOf(chart);
    if (names.length === 0 || points.length === 0) return;
    const file = points.map((point) => [new Date(point.time * 1000), ...values(point)]);
    const last = () => showLegend(chart, chart.file[chart.file.length - 1].slice(1));
    chart.file = file;
    if (chart.graph !== null && chart.names.join('\n') === names.join('\n')) {
      chart.graph.updateOptions({file});
    } else {
      if (chart.graph !== null) chart.graph.destroy();
      chart.names = names;
      const grid = getComputedStyle(document.documentElement).getPropertyValue('--line').trim();
      chart.graph = new Dygraph(chart.box.querySelector('.plot'), file, {
        labels: ['time', ...names], colors: names.map((_, i) => colours[i % colours.length]), includeZero: true, strokeWidth: 1.5,
        gridLineColor: grid, axisLineColor: grid, rightGap: 0, interactionModel: {},
        highlightCallback: (event, x, on, row) => { chart.hovered = true; showLegend(chart, chart.file[row].slice(1)); },
        unhighlightCallback: () => { chart.hovered = false; last(); },
        axes: {y: {axisLabelWidth: 45, axisLabelFormatter: number}, x: {axisLabelWidth: 50}},
      });
    }
    if (!chart.hovered) last();
  }

  async function updateCharts() {
    const reply = await fetch('/api/v1/history?after=' + after, {cache: 'no-store'});
    if (!reply.ok) throw new Error(reply.status);
    const fresh = await reply.json();
    // A reload of the configuration has changed the buses: the page has other charts then.
    if (buses !== null && buses.join('\n') !== fresh.buses.join('\n')) return location.reload();
    buses = fresh.buses;
    types = fresh.types;
    points = points.concat(fresh.points).slice(-mostPoints);
    if (points.length > 0) after = points[points.length - 1].time;
    document.body.dataset.points = points.length;
    charts.forEach(draw);
  }

  async function updateTables() {
    const reply = await fetch('/tables', {cache: 'no-store'});
    if (!reply.ok) throw new Error(reply.status);
    const scrolled = [...document.querySelectorAll('#tables .wide')].map((box) => box.scrollLeft);
    document.getElementById('tables').innerHTML = await reply.text();
    document.querySelectorAll('#tables .wide').forEach((box, i) => { box.scrollLeft = scrolled[i] || 0; });
    const wrong = document.getElementById('found');
    const shown = document.getElementById('wrong');
    if (wrong.innerHTML !== shown.innerHTML) shown.innerHTML = wrong.innerHTML;
  }

  async function run(update, pause) {
    for (;;) {
      try {
        await update();
        document.body.classList.remove('stale');
      } catch (error) {
        document.body.classList.add('stale');
      }
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  document.getElementById('explain').addEventListener('submit', async (event) => {
    event.preventDefault();
    const answer = document.getElementById('answer');
    try {
      const command = new FormData(event.target).get('command');
      const reply = await (await fetch('/api/v1/explain?command=' + encodeURIComponent(command))).json();
      answer.textContent = Object.entries(reply).map(([name, value]) => `${name}: ${[value].flat().join('\n' + name + ': ')}`).join('\n');
    } catch (error) {
      answer.textContent = 'no answer: ' + error.message;
    }
  });

  run(updateCharts, 1000);
  run(updateTables, 2000);
})();
