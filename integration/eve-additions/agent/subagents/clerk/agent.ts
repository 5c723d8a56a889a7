import { defineAgent } from 'eve';
import { mockModel } from 'eve/evals';

export default defineAgent({
  description: 'Knows the orders.',
  model: mockModel('the clerk has heard it'),
});
