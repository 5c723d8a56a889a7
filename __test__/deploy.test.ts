/** The files of `deploy/`: they are well-formed, and what they name exists. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, runNode } from './support';

interface Container {
  name: string;
  image: string;
  command?: string[];
  ports: { name: string }[];
  env: { name: string; value?: string; valueFrom?: { secretKeyRef: { key: string } } }[];
  envFrom: { configMapRef: { name: string } }[];
}
interface KubernetesObject {
  kind: string;
  metadata: { name: string };
  data?: Record<string, string>;
  spec: {
    selector: Record<string, unknown>;
    ports: { targetPort: string }[];
    template: {
      metadata: { labels: Record<string, string> };
      spec: { containers: [Container] };
    };
  };
}
interface Service {
  environment?: Record<string, string>;
  depends_on?: string[] | Record<string, unknown>;
  volumes?: string[];
}
interface Deployments {
  compose: { services: Record<string, Service>; volumes: Record<string, unknown> };
  kubernetes: KubernetesObject[];
  faults: string[];
}

let found: Deployments;

beforeAll(async () => {
  const files = ['compose.yaml', 'kubernetes.yaml'].map((name) => join(ROOT, 'deploy', name));
  const script = join(ROOT, '__test__', 'fixtures', 'deployments.mjs');
  const { code, stdout, stderr } = await runNode([script, ...files]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  found = JSON.parse(stdout);
});

const ofKind = (kind: string) => found.kubernetes.filter((object) => object.kind === kind);

test('the schemas of Compose and Kubernetes find nothing wrong with them', () => {
  expect(found.faults).toEqual([]);
});

test('one kind of host starts runs and one delivers, with variables that Hookline knows', () => {
  const known = readFileSync(join(ROOT, 'ts', 'engine', 'variables.ts'), 'utf8');
  const { web, worker } = found.compose.services;
  const [webPod, workerPod] = ofKind('Deployment').map(
    ({ spec }) => spec.template.spec.containers[0],
  );
  const ofPod = (pod: Container | undefined) =>
    Object.fromEntries((pod?.env ?? []).map(({ name, value }) => [name, value]));
  const environments = [web?.environment, worker?.environment, ofPod(webPod), ofPod(workerPod)];
  expect(environments.map((it) => it?.WORKFLOW_HOOKLINE_ROLE)).toEqual([
    'producer',
    'worker',
    'producer',
    'worker',
  ]);
  const settings = ofKind('ConfigMap').map(({ data }) => data);
  for (const name of [...environments, ...settings].flatMap((it) => Object.keys(it ?? {}))) {
    if (name.startsWith('WORKFLOW_HOOKLINE_')) expect(known).toContain(`'${name}'`);
  }
});

test('selectors, ports and maps of Kubernetes name what is there', () => {
  const [config] = ofKind('ConfigMap');
  for (const { metadata, spec } of ofKind('Deployment')) {
    const { labels } = spec.template.metadata;
    expect(spec.selector).toEqual({ matchLabels: labels });
    expect(labels).toEqual({ app: metadata.name });
    const [container] = spec.template.spec.containers;
    expect(container.envFrom).toEqual([{ configMapRef: { name: config?.metadata.name } }]);
  }
  const [service] = ofKind('Service');
  const [web] = ofKind('Deployment');
  expect(service?.spec.selector).toEqual(web?.spec.template.metadata.labels);
  const ports = web?.spec.template.spec.containers[0].ports.map(({ name }) => name);
  expect(ports).toContain(service?.spec.ports[0]?.targetPort);
});

test('a job of the same image migrates with the URL of the owner, and the app migrates nothing', () => {
  const [job] = ofKind('Job') as [KubernetesObject];
  const [{ command = [], image, env }] = job.spec.template.spec.containers;
  expect(command.slice(0, 3)).toEqual(['npx', 'hookline', 'migrate']);
  const [url] = env;
  expect([url?.name, url?.valueFrom?.secretKeyRef.key]).toEqual([
    'WORKFLOW_HOOKLINE_URL',
    'owner-url',
  ]);
  const [config] = ofKind('ConfigMap');
  expect(config?.data?.WORKFLOW_HOOKLINE_MIGRATE).toBe('off');
  for (const { spec } of ofKind('Deployment')) {
    expect(spec.template.spec.containers[0].image).toBe(image);
  }
});

test('services and volumes of Compose name what is there, and the app names its database', () => {
  const { services, volumes } = found.compose;
  for (const { depends_on: needed = [], volumes: mounted = [] } of Object.values(services)) {
    for (const name of Array.isArray(needed) ? needed : Object.keys(needed)) {
      expect(services).toHaveProperty(name);
    }
    for (const name of mounted) expect(volumes).toHaveProperty(name.split(':', 1)[0] as string);
  }
  const { username, hostname, pathname } = new URL(
    services.web?.environment?.WORKFLOW_HOOKLINE_URL as string,
  );
  const { POSTGRES_USER, POSTGRES_DB } = services[hostname]?.environment ?? {};
  expect([username, pathname]).toEqual([POSTGRES_USER, `/${POSTGRES_DB}`]);
});
