/** The version that is printed; the package's own. */
export const gatewayVersion = '0.1.0'
