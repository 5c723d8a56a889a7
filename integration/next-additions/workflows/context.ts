import { revalidatePath } from 'next/cache';
import { cookies, headers } from 'next/headers';
import { after } from 'next/server';

/** Runs a step that needs the request context of Next.js. */
export async function context() {
  'use workflow';
  return inRequest();
}

async function inRequest() {
  'use step';
  revalidatePath('/');
  after(() => console.log('ran after the step'));
  return {
    cookies: (await cookies()).getAll().length,
    isRequest: (await headers()).has('host'),
    revalidated: true,
  };
}
