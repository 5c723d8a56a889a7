import { releaseStories } from './release-stories';

describe('with releases, on line 5', () => releaseStories('workflow-5'));
