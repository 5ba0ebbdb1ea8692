/* The node's parameters: the generated table of knobs, and a few that are the host link's own. */
#ifndef SEMBLANCE_PARAMETERS_H
#define SEMBLANCE_PARAMETERS_H

#include "knobs_table.h"
#include "ofx_abi.h"
#include "wire.h"

/* Never the name of a knob; tests/test_install_host.py holds that. */
#define PARAMETER_USE_MASK "use_mask"
#define PARAMETER_TIMEOUT "worker_timeout"
#define PARAMETER_RESTART "restart_worker"

struct parameters {
    OfxParamHandle knobs[SEMBLANCE_KNOB_COUNT];
    OfxParamHandle use_mask, timeout;
};

OfxStatus parameters_define(OfxImageEffectHandle descriptor);
/* Each returns 0 where the host does not have or give a parameter. */
int parameters_bind(OfxImageEffectHandle effect, struct parameters *parameters);
int parameters_put(const struct parameters *parameters, OfxTime time, struct wire *values);
/* Whether the values of this frame leave the plate as it is. */
int parameters_idle(const struct parameters *parameters, OfxTime time);
int parameters_use_mask(const struct parameters *parameters, OfxTime time);
double parameters_timeout(const struct parameters *parameters, OfxTime time); /* seconds */

#endif
