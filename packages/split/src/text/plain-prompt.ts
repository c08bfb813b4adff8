// A question as plain text, for models whose chat template nobody here knows: any base or reasoning model continues it.

export function plainPrompt(question: string): string {
  return `Question: ${question}\n\nAnswer step by step and put the final answer in \\boxed{}.\n\n<think>\n`;
}
