// Starts the page: global styles, every element, then what has to be asked of the browser and of the server.
import '@fontsource-variable/inter/wght.css';
import '@fontsource-variable/source-serif-4/wght.css';
import 'katex/dist/katex.min.css';
import './styles/global.css';
import './elements/shell/baton-app.ts';
import { goOffline } from './offline/go-offline.ts';
import { boot } from './run/boot.ts';
import { warmUp } from './run/warm-up.ts';

// Before anything has taken a link out of the address.
goOffline(import.meta.url);
void boot();
warmUp();
