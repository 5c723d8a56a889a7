// Mounts a file system that this process serves, runs a command, and ends as the command does. The
// file system is a folder with one file, `there.db`, and only what the kernel requires.
//
//   node fuse.mjs <folder> <command> [argument...]

import { spawn, spawnSync } from 'node:child_process';
import { openSync, read, writeSync } from 'node:fs';

const [, , folder, command, ...args] = process.argv;
const ROOT = 1n;
const FOLDER = { inode: 1, size: 0, mode: 0o40755 };
const FILE = { inode: 2, size: 4096, mode: 0o100644 };
const [ENOENT, ENOSYS] = [-2, -38];
const OPERATION = { lookup: 1, forget: 2, getattr: 3, statfs: 17, init: 26, forgetMany: 42 };

const device = openSync('/dev/fuse', 'r+');
const options = 'fd=3,rootmode=40000,user_id=0,group_id=0';
const mounted = spawnSync('mount', ['-i', '-t', 'fuse.test', '-o', options, 'test', folder], {
  stdio: ['ignore', 'inherit', 'inherit', device],
});
if (mounted.status !== 0) process.exit(99);

function serve() {
  const request = Buffer.alloc(1 << 20);
  read(device, request, 0, request.length, null, (error, length) => {
    if (error) return;
    answer(request.subarray(0, length));
    serve();
  });
}

function answer(request) {
  const [operation, unique] = [request.readUInt32LE(4), request.readBigUInt64LE(8)];
  if (operation === OPERATION.forget || operation === OPERATION.forgetMany) return;
  const body = bodyOf(operation, request);
  const status = typeof body === 'number' ? body : 0;
  const bytes = typeof body === 'number' ? Buffer.alloc(0) : body;
  const head = Buffer.alloc(16);
  head.writeUInt32LE(16 + bytes.length, 0);
  head.writeInt32LE(status, 4);
  head.writeBigUInt64LE(unique, 8);
  try {
    writeSync(device, Buffer.concat([head, bytes]));
  } catch {
    // The program that asked was interrupted.
  }
}

/** The bytes of an answer, or an error's number. */
function bodyOf(operation, request) {
  const node = request.readBigUInt64LE(16);
  if (operation === OPERATION.init) {
    const version = [
      [0, 7],
      [4, 31],
    ];
    return numbers(64, [...version, [20, 4096]]);
  }
  if (operation === OPERATION.getattr) {
    return numbers(104, attributes(16, node === ROOT ? FOLDER : FILE));
  }
  if (operation === OPERATION.lookup) {
    const name = request.toString('utf8', 40, request.length - 1);
    return name === 'there.db' ? numbers(128, [[0, 2], ...attributes(40, FILE)]) : ENOENT;
  }
  if (operation !== OPERATION.statfs) return ENOSYS;
  const blocks = [
    [40, 4096],
    [48, 4096],
  ];
  return numbers(80, [...blocks, [44, 255]]);
}

/** An inode, a size, a mode, a count of links, a size of blocks. */
function attributes(at, { inode, size, mode }) {
  const fields = [
    [0, inode],
    [8, size],
    [60, mode],
    [64, 1],
    [80, 4096],
  ];
  return fields.map(([offset, number]) => [at + offset, number]);
}

function numbers(length, places) {
  const bytes = Buffer.alloc(length);
  for (const [at, number] of places) bytes.writeUInt32LE(number, at);
  return bytes;
}

serve();
spawn(command, args, { stdio: 'inherit' }).on('exit', (code) => {
  // Ends the pending read, because the end of this process would wait for it.
  spawn('umount', ['-i', '-l', folder]).on('exit', () => process.exit(code ?? 98));
});
