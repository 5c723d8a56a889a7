export { default, environment } from '../../sandbox';
