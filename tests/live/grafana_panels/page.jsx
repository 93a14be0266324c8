// Draws one row of the dashboard's file with Grafana's own components, from a real Prometheus.
//
// Prometheus serves this page, as /user/index.html?row=TITLE&begin=S&end=S&width=PX&mode=light.

import { createTheme, dateTime } from '@grafana/data';
import { GlobalStyles, Icon, PanelChrome, ThemeContext, TimeSeries } from '@grafana/ui';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';

import { framesOf } from './frames.js';
import { check } from './known.js';

// Of Grafana's grid, in pixels; a row of a dashboard has 24 columns.
const CELL = 30;
const GAP = 8;
const COLUMNS = 24;
// The shortest step of a query by Grafana's defaults, in seconds.
const STEP = 15;
const TIME_ZONE = 'utc';

/** The panels between the title of a row and that of the next one. */
function panelsOfRow(dashboard, title) {
  const begin = dashboard.panels.findIndex((each) => each.type === 'row' && each.title === title);
  if (begin < 0) {
    throw new Error(`the dashboard has no row "${title}"`);
  }
  const after = dashboard.panels.slice(begin + 1);
  const end = after.findIndex((each) => each.type === 'row');
  return end < 0 ? after : after.slice(0, end);
}

/** Place and size of a panel, in pixels below the title of its row. */
function placed({ x, y, w, h }, top, width) {
  const column = (width - GAP * (COLUMNS - 1)) / COLUMNS;
  return {
    left: x * (column + GAP),
    top: (y - top) * (CELL + GAP),
    width: w * column + (w - 1) * GAP,
    height: h * CELL + (h - 1) * GAP,
  };
}

function Panel({ panel, frames, place, range }) {
  const { title, description, options } = panel;
  return (
    <div style={{ position: 'absolute', ...place }}>
      <PanelChrome title={title} description={description} width={place.width} height={place.height}>
        {(width, height) =>
          frames.length === 0 ? (
            <p>No data</p>
          ) : (
            <TimeSeries
              frames={frames}
              structureRev={1}
              timeRange={range}
              timeZone={TIME_ZONE}
              width={width}
              height={height}
              legend={{ calcs: [], ...options.legend }}
            />
          )
        }
      </PanelChrome>
    </div>
  );
}

function Row({ title, panels, range, theme, width }) {
  const top = panels[0].panel.gridPos.y;
  const places = panels.map(({ panel }) => placed(panel.gridPos, top, width));
  const height = Math.max(...places.map((place) => place.top + place.height));
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ width, margin: GAP }}>
        <h4 style={{ height: CELL, margin: 0, display: 'flex', alignItems: 'center', gap: GAP }}>
          <Icon name="angle-down" />
          {title}
        </h4>
        <div style={{ position: 'relative', height }}>
          {panels.map((each, index) => (
            <Panel key={each.panel.id} {...each} place={places[index]} range={range} />
          ))}
        </div>
      </div>
    </ThemeContext.Provider>
  );
}

/** Loads Grafana's fonts: axes are drawn once, with the font that is there then. */
async function loadFonts(root, theme) {
  flushSync(() =>
    root.render(
      <ThemeContext.Provider value={theme}>
        <GlobalStyles />
      </ThemeContext.Provider>,
    ),
  );
  await Promise.all([400, 500].map((weight) => document.fonts.load(`${weight} 12px Inter`)));
}

async function draw() {
  const asked = new URLSearchParams(location.search);
  const [begin, end, width] = ['begin', 'end', 'width'].map((name) => Number(asked.get(name)));
  const theme = createTheme({ colors: { mode: asked.get('mode') } });
  const dashboard = await (await fetch('dashboard.json')).json();
  const row = panelsOfRow(dashboard, asked.get('row'));
  row.forEach(check);
  const window = { begin, end, step: STEP };
  const panels = await Promise.all(
    row.map(async (panel) => ({ panel, frames: await framesOf(panel, window, theme, TIME_ZONE) })),
  );
  const [from, to] = [dateTime(begin * 1000), dateTime(end * 1000)];
  const range = { from, to, raw: { from, to } };
  const root = createRoot(document.getElementById('root'));
  await loadFonts(root, theme);
  root.render(
    <Row title={asked.get('row')} panels={panels} range={range} theme={theme} width={width} />,
  );
}

draw().catch((error) => {
  document.getElementById('root').textContent = `not drawn: ${error.message}`;
});
