// What Google would answer for the fonts of create-next-app's layout: its build must not need the
// network.
const css = (family) => `@font-face { font-family: '${family}'; src: local('Arial'); }`;

module.exports = {
  'https://fonts.googleapis.com/css2?family=Geist:wght@100..900&display=swap': css('Geist'),
  'https://fonts.googleapis.com/css2?family=Geist+Mono:wght@100..900&display=swap':
    css('Geist Mono'),
};
