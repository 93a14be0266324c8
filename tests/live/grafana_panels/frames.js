// Asks Prometheus for the series of a panel, as data frames of Grafana.

import { FieldType, getDisplayProcessor, toDataFrame } from '@grafana/data';

// Defaults of Grafana's panel of time series, for what the dashboard's file leaves open.
const LINES = {
  drawStyle: 'line',
  lineInterpolation: 'linear',
  lineWidth: 1,
  fillOpacity: 0,
  gradientMode: 'none',
  showPoints: 'auto',
  pointSize: 5,
  spanNulls: false,
  axisPlacement: 'auto',
  axisGridShow: true,
  scaleDistribution: { type: 'linear' },
};

/**
 * Returns a frame for each series of a panel, in the order of its queries.
 *
 * @param window begin, end and step, in seconds.
 */
export async function framesOf(panel, window, theme, timeZone) {
  const answers = await Promise.all(panel.targets.map((target) => seriesOf(target, window)));
  const named = answers.flat();
  return named.map(({ name, values }, index) => {
    const frame = toDataFrame({
      fields: [
        { name: 'Time', type: FieldType.time, values: values.map(([seconds]) => seconds * 1000) },
        { name: 'Value', type: FieldType.number, values: values.map(([, value]) => number(value)) },
      ],
    });
    dress(frame.fields[1], name, index, panel.fieldConfig.defaults, theme, timeZone);
    return frame;
  });
}

async function seriesOf({ expr, legendFormat }, { begin, end, step }) {
  const parameters = new URLSearchParams({ query: expr, start: begin, end, step });
  const response = await fetch(`/api/v1/query_range?${parameters}`);
  const answer = await response.json();
  if (answer.status !== 'success') {
    throw new Error(`${expr}: ${answer.error}`);
  }
  return answer.data.result.map(({ metric, values }) => ({
    name: legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? ''),
    values,
  }));
}

/** A number of Prometheus; what is none, such as the share of no request, is a gap. */
function number(text) {
  const value = Number(text);
  return Number.isFinite(value) ? value : null;
}

function dress(field, name, index, defaults, theme, timeZone) {
  field.config = {
    ...defaults,
    color: { mode: 'palette-classic' },
    custom: LINES,
    displayNameFromDS: name,
  };
  field.state = { seriesIndex: index };
  field.display = getDisplayProcessor({ field, theme, timeZone });
}
