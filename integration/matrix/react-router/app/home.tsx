export default function Home() {
  return <h1>Approvals</h1>;
}
