import { resumeHook } from "hookline";
export async function POST(request: Request) {
const { token, data } = await request.json();
try {
const hook = await resumeHook(token, data);
console.info(JSON.stringify({
event: "workflow.hook.resumed",
token: hook.token,
hookId: hook.hookId,
runId: hook.runId,
}));
return Response.json({
runId: hook.runId,
});
} catch (error) {
if (error instanceof Error && error.name === "HookNotFoundError") {
console.warn(JSON.stringify({
event: "workflow.hook.not_found",
token,
}));
return Response.json(
{ error: "Hook not found", token },
{ status: 404 }
);
}
console.error(JSON.stringify({
event: "workflow.hook.resume_failed",
token,
error: error instanceof Error ? error.message : String(error),
}));
return Response.json(
{ error: "Failed to resume hook" },
{ status: 500 }
);
}
}
