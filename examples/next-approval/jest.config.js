const nextJest = require('next/jest');

// Next.js's own set-up of Jest; hookline/testing needs nothing more.
module.exports = nextJest({ dir: './' })({ testEnvironment: 'node' });
