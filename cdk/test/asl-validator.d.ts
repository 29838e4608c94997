// asl-validator says nothing of its types: this is what the tests use of it.

declare module "asl-validator" {
  function validate(definition: unknown): { isValid: boolean; errorsText: (separator: string) => string };
  export = validate;
}
