export { startDelivery as init } from 'hookline';
