import { resumeHook } from "hookline";
type ApprovalPayload = {
approved: boolean;
comment: string;
};
export async function POST(request: Request) {
const { token, approved, comment } = await request.json();
try {
const hook = await resumeHook<ApprovalPayload>(token, {
approved,
comment,
});
return Response.json({ runId: hook.runId });
} catch (error) {
if (error instanceof Error && error.name === "HookNotFoundError") {
return Response.json({ error: "Hook not found" }, { status: 404 });
}
return Response.json({ error: "Failed to resume hook" }, { status: 500 });
}
}
