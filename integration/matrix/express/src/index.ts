import express from 'express';
import { approvals } from '../approvals';

const app = express();
app.use(express.json());

app.post('/api/approvals', async (req, res) => res.json(await approvals(req.body)));

export default app;
