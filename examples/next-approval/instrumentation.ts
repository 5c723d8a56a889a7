// Starts delivery when the server starts: sleeping and interrupted runs go on by themselves.
export { register } from 'hookline/next';
