// The page as its next version: the same sources, and a mark of it that a test can see.
import { mergeConfig } from 'vite';
import config from '../../vite.config.ts';

export default mergeConfig(config, {
  plugins: [
    {
      name: 'second-build',
      transform: (code: string, id: string) =>
        id.endsWith('apps/web/src/main.ts')
          ? `${code}\ndocument.documentElement.dataset.build = 'second';`
          : null,
    },
  ],
});
