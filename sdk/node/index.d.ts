// The types of this package; what each function does is told with examples in docs/sdk-node.md.

/** `app`, `all`, `leader`, `any`, the name of an app, a worker as `shop.2`; or an object, which is never ambiguous. */
export type Address = string | { app: string; slot?: number; one?: boolean; leader?: boolean };

export interface Delivery {
  /** How many workers have got it, or will when they read. */
  receivers: number;
  /** How many have not, because they do not read what they have got already. */
  dropped: number;
  /** The daemon ended with the message in its hands: nobody knows. */
  unknown?: true;
}

export interface About {
  /** The worker that sent it, as `shop.1`, or `outside`. */
  from: string;
  topic?: string;
}

export type Listener = (data: any, about: About) => void;
export type Handler = (data: any, about: About) => unknown;

export type Code =
  | 'outside'
  | 'closed'
  | 'disconnected'
  | 'forbidden'
  | 'unavailable'
  | 'interrupted'
  | 'bad_message'
  | 'no_receiver'
  | 'full'
  | 'timeout'
  | 'worker_gone'
  | 'too_large'
  | 'unknown_pool'
  | 'unknown_task'
  | 'failed'
  | 'poison'
  | 'cancelled'
  | 'conflict'
  | 'not_leader';

/** The only kind of error that this package makes. What a worker threw is its `cause`. */
export class SteadError extends Error {
  constructor(code: string, message: string, options?: { cause?: unknown });
  /** One of `Code`, or what the program that answered gave its error. */
  code: Code | (string & {});
}

/** Sends to some workers. Those who do not read fast enough do not get it. */
export function send(to: Address, topic: string, data?: unknown): Promise<Delivery>;

/** Sends to every other worker of this app; with `self` to this one too. */
export function broadcast(topic: string, data?: unknown, options?: { self?: boolean }): Promise<Delivery>;

/** Listens to a topic; `*` is all of them. */
export function on(topic: string, listener: Listener): void;
export function once(topic: string, listener: Listener): void;
export function off(topic: string, listener: Listener): void;

/** Asks one worker. @param options `timeout` in milliseconds, 30 000 without it */
export function request<Answer = any>(
  to: Address,
  topic: string,
  data?: unknown,
  options?: { timeout?: number },
): Promise<Answer>;

/** Answers requests about a topic with what the handler returns; null takes it away. */
export function handle(topic: string, handler: Handler | null): void;

/** A role that one worker of the app holds. */
export interface Role {
  /** Rises with each leader: a fencing token. */
  term: number;
  /** Aborted when the role is lost. */
  signal: AbortSignal;
}

export interface Shared<Value = any> {
  readonly name: string;
  /** The last value that came. */
  readonly value: Value | undefined;
  /** Rises with each change; 0 without a value. */
  readonly version: number;
  /** Asks for the value of this moment. */
  get(): Promise<Value | undefined>;
  /** Sets it for all workers of the app; gives the new version. */
  set(value: Value, options?: { ifVersion?: number }): Promise<number>;
  unset(): Promise<void>;
  /** The leader computes it every so many milliseconds, for all. */
  compute(
    compute: (role: Role) => Value | Promise<Value>,
    options: { every: number; onError?: (error: unknown) => void },
  ): this;
  on(event: 'change', listener: (value: Value | undefined, version: number) => void): this;
  once(event: 'change', listener: (value: Value | undefined, version: number) => void): this;
  off(event: 'change', listener: (value: Value | undefined, version: number) => void): this;
}

/** The shared value of this name, always the same object. */
export function shared<Value = any>(name: string): Shared<Value>;

export interface Leader {
  readonly held: boolean;
  readonly term: number;
  /** The worker that holds it, as far as this one knows. */
  readonly who: string | null;
  /** Gives the role up, and is no candidate any more. */
  resign(): void;
  on(event: 'acquired', listener: (role: Role) => void): this;
  on(event: 'lost', listener: (lost: { term: number }) => void): this;
  once(event: 'acquired', listener: (role: Role) => void): this;
  once(event: 'lost', listener: (lost: { term: number }) => void): this;
  off(event: 'acquired' | 'lost', listener: (about: any) => void): this;
}

/** Makes this worker a candidate; the task runs while it is the leader. */
export function leader(task?: (role: Role) => unknown): Leader;

export interface TaskOptions {
  /** Tasks with the same key go to the same worker, as long as it lives. */
  key?: string;
  /** Higher ones first; 0 without it. */
  priority?: number;
  /** Of one try, in milliseconds. */
  timeout?: number;
  /** How often it is tried again after a failure. */
  retries?: number;
  /** Whether it outlives the daemon and the machine's next start. */
  durable?: boolean;
  /** Cancels the task. */
  signal?: AbortSignal;
  onProgress?: (data: any) => void;
  onPart?: (data: any, number: number) => void;
}

export interface Parts<Part, Result> extends AsyncIterableIterator<Part> {
  /** What the worker returned at the end. */
  result: Promise<Result>;
}

export interface Pool {
  readonly name: string;
  run<Result = any>(input: unknown, options?: TaskOptions): Promise<Result>;
  /** The parts of the result, as they come. */
  stream<Part = any, Result = any>(input: unknown, options?: Omit<TaskOptions, 'onPart'>): Parts<Part, Result>;
}

export function pool(name: string): Pool;

export interface Task {
  /** 1, or more if the task was tried before. */
  readonly attempt: number;
  readonly key?: string;
  /** In milliseconds. */
  readonly timeout?: number;
  /** Aborted when nobody wants the result any more. */
  readonly signal: AbortSignal;
  progress(data: unknown): void;
  part(data: unknown): Promise<void>;
}

/** Makes this process a worker of a pool. @param options `concurrency`: how many tasks at once, 1 without it */
export function worker<Input = any>(
  task: (input: Input, about: Task) => unknown,
  options?: { concurrency?: number },
): void;

/** Ends all listening, so that the process can end by itself. */
export function close(): void;

/** Whether Stead runs this program. */
export const inside: boolean;
