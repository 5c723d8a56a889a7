/** An amount for people: `€1,200`, `€12.50`. */
export function euros(amount: number): string {
  return amount.toLocaleString('en', {
    style: 'currency',
    currency: 'EUR',
    trailingZeroDisplay: 'stripIfInteger',
  });
}
