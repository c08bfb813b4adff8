export declare function ensureInstalled(): void;
export declare function isInstalled(folder: string): boolean;
