/* What the shim's own files share: the host's suites. */
#ifndef SEMBLANCE_SHIM_H
#define SEMBLANCE_SHIM_H

#include "ofx_abi.h"

struct suites {
    const OfxPropertySuiteV1 *property;
    const OfxImageEffectSuiteV1 *effect;
    const OfxParameterSuiteV1 *parameter;
    const OfxMessageSuiteV2 *message; /* NULL where the host has none, or not all of version 2 */
    const OfxMessageSuiteV2 *plain;   /* version 1: its first member alone; may be NULL */
};

extern struct suites suites;

#endif
