/** Set-up of each test file: in CI properties are tried with the same values each time, so that a change is judged by what it changed. */
import fc from 'fast-check';

if (process.env.CI) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: 1 });
