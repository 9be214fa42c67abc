import { LabIcon } from '@jupyterlab/ui-components';
import scheduleSvg from '../../style/schedule.svg';
import workflowSvg from '../../style/workflow.svg';

/** One task that leads to two: the mark of workflows, coloured by the theme. */
export const workflowIcon = new LabIcon({ name: 'jupyter-wf:workflow', svgstr: workflowSvg });

/** A calendar's leaf with a clock: the mark of schedules. */
export const scheduleIcon = new LabIcon({ name: 'jupyter-wf:schedule', svgstr: scheduleSvg });
