import { LabIcon } from '@jupyterlab/ui-components';
import workflowSvg from '../../style/workflow.svg';

/** One task that leads to two: the mark of workflows, coloured by the theme. */
export const workflowIcon = new LabIcon({ name: 'jupyter-wf:workflow', svgstr: workflowSvg });
