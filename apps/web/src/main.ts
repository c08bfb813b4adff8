// Starts the page: global styles, every element, then what has to be asked of the browser and of the server.
import '@fontsource-variable/inter/wght.css';
import '@fontsource-variable/source-serif-4/wght.css';
import 'katex/dist/katex.min.css';
import './styles/global.css';
import './elements/shell/baton-app.ts';
import { boot } from './run/boot.ts';
import { warmUp } from './run/warm-up.ts';

void boot();
warmUp();
