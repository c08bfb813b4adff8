// Places a checkpoint can come from, besides a folder in Node: chosen files, a web server, the Hugging Face Hub.
export { blobSource, type NamedBlob } from './blob-source.ts';
export { hubSource, type HubSourceOptions } from './hub-source.ts';
export { urlSource, type UrlSourceOptions } from './url-source.ts';
