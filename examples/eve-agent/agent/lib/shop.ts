/** The orders; an app of yours would ask its database. */
export const ORDERS = [
  { id: '1001', item: 'chair', amount: 120, isLate: true },
  { id: '1002', item: 'table', amount: 340, isLate: false },
  { id: '1003', item: 'lamp', amount: 45, isLate: true },
];
