import { ThreadWorker } from 'poolifier';
import { echo, increment, touch } from './tasks.mjs';

export default new ThreadWorker({ increment, echo, touch });
