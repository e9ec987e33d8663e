declare module 'libpg-query/wasm/libpg-query.js' {
  /** The parts of the Emscripten module that the parser uses. */
  export interface PgQueryWasm {
    lengthBytesUTF8(text: string): number
    stringToUTF8(text: string, pointer: number, bytes: number): void
    UTF8ToString(pointer: number): string
    getValue(pointer: number, type: 'i32'): number
    _malloc(bytes: number): number
    _free(pointer: number): void
    _wasm_parse_query_raw(text: number): number
    _wasm_free_parse_result(result: number): void
    _wasm_parse_plpgsql(text: number): number
    _wasm_scan(text: number): number
    _wasm_free_string(text: number): void
  }
  const instantiate: () => Promise<PgQueryWasm>
  export default instantiate
}
