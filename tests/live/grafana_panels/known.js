// Refuses a panel that the page would draw otherwise than Grafana does.

const TYPES = ['timeseries'];
const NAMES = {
  panel: 'id type title description datasource gridPos fieldConfig options targets'.split(' '),
  fieldConfig: ['defaults', 'overrides'],
  defaults: ['unit', 'min'],
  options: ['legend', 'tooltip'],
  legend: ['displayMode', 'placement', 'showLegend'],
  target: ['refId', 'expr', 'legendFormat'],
};

/**
 * Checks that the page draws all that a panel says.
 *
 * @throws Error that names the panel and the first part that the page does not draw.
 */
export function check(panel) {
  const { type, fieldConfig, options, targets } = panel;
  const refuse = (found) => {
    throw new Error(`panel "${panel.title}": the page does not draw ${found}`);
  };
  if (!TYPES.includes(type)) {
    refuse(`type ${type}, but ${TYPES.join(', ')}`);
  }
  const parts = { panel, fieldConfig, defaults: fieldConfig.defaults, options };
  const all = [...Object.entries({ ...parts, legend: options.legend })];
  targets.forEach((target) => all.push(['target', target]));
  for (const [part, value] of all) {
    const unknown = Object.keys(value).filter((name) => !NAMES[part].includes(name));
    if (unknown.length > 0) {
      refuse(`${unknown.join(', ')} of ${part}, but ${NAMES[part].join(', ')}`);
    }
  }
  if (fieldConfig.overrides.length > 0) {
    refuse('overrides');
  }
  if (targets.some(({ legendFormat }) => !legendFormat)) {
    refuse('a query without legendFormat');
  }
}
