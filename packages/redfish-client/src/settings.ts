import { type JsonObject, linkOf, objectAt, textsOf } from './json.ts';

/** Path of the settings resource of a resource (DSP0266 "Settings resource"); undefined when changes are made directly. */
export function settingsLink(body: JsonObject): string | undefined {
  return linkOf(objectAt(body, '@Redfish.Settings'), 'SettingsObject');
}

/** When changes of a settings resource may take effect, for example `OnReset`; empty when the service does not say. */
export function applyTimesOf(body: JsonObject): readonly string[] {
  return textsOf(objectAt(body, '@Redfish.Settings'), 'SupportedApplyTimes');
}
