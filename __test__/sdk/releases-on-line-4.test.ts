import { releaseStories } from './release-stories';

describe('with releases, on line 4', () => releaseStories('workflow'));
