"use server";
import { resumeHook } from "hookline";
export async function approveRequest(token: string, approved: boolean) {
try {
const hook = await resumeHook(token, { approved });
return hook.runId;
} catch (error) {
throw new Error("Failed to resume hook");
}
}
