import { getHookByToken, resumeHook } from "hookline";
export async function POST(request: Request) {
const { token, data } = await request.json();
try {
const hook = await getHookByToken(token);
// Validate metadata before resuming
console.log("Hook metadata:", hook.metadata);
const resumedHook = await resumeHook(hook, data);
return Response.json({ success: true, runId: resumedHook.runId });
} catch (error) {
if (error instanceof Error && error.name === "HookNotFoundError") {
return Response.json({ error: "Hook not found" }, { status: 404 });
}
return Response.json({ error: "Failed to resume hook" }, { status: 500 });
}
}
