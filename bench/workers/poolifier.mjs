import { ThreadWorker } from 'poolifier';
import { echo, increment } from './tasks.mjs';

export default new ThreadWorker({ increment, echo });
