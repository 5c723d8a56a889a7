export { register } from 'hookline/next';
