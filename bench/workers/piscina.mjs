import { move } from 'piscina';

export const giveBack = bytes => move(bytes);
